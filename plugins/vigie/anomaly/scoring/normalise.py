r"""Convert log lines to templates: named masks replace the variable parts.

The masks are applied in order; each is a regular expression that runs in linear time. **No mask
matches a specific digit, and no mask keeps a digit of the line.** Therefore a line and its *digit
shape* (every digit replaced by 0) have the same template, and a cache from shape to template is
exact. Log lines differ mostly in their digits, so most lines need one translation and one look-up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vigie.anomaly.scoring.cache import GenerationCache

MAX_BYTES = 8192
"""Number of bytes of a line that are normalised; detectors read only the first 50 tokens."""

CACHED_BYTES = 1024
"""Maximum length of a cached line: longer lines rarely repeat and would make the cache large."""

SHAPE = bytes.maketrans(b"123456789", b"000000000")

_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = rb"(?:\d{4}[-./]\d{2}[-./]\d{2}|\d{2}[-./]\d{2}[-./]\d{2,4}|" + _MONTH + rb"\s{1,2}\d{1,2})"
_TIME = rb"\d{2}[:.]\d{2}[:.]\d{2}(?:[.,]\d+)?(?:Z\b|\s?[+-]\d{2}:?\d{2}\b)?"

MASKS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"\x1b\[[\d;]*[A-Za-z]|^\xef\xbb\xbf"), b""),  # terminal colours, byte order mark
    (re.compile(rb"\b" + _DATE + rb"(?:[T\s-]" + _TIME + rb")?"), b"<TIME>"),
    (re.compile(rb"\b" + _TIME), b"<TIME>"),
    (re.compile(rb"\b[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}\b"), b"<UUID>"),
    (re.compile(rb"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), b"<IP>"),
    (
        re.compile(rb"\b\d[xX][\da-fA-F]+\b|\b(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[\da-fA-F]{8,}\b"),
        b"<HEX>",
    ),
    (re.compile(rb"\[\d+\]"), b"[<PID>]"),
    (re.compile(rb"-?\d+(?:[.,]\d+)*"), b"<NUM>"),
)


def mask(line: bytes) -> str:
    r"""Return the template of a line, without a cache.

    Examples
    --------
    >>> mask(b"081109 203518 INFO dfs.DataNode: Received block blk_-1608 from 10.250.19.102:54106")
    '<NUM> <NUM> INFO dfs.DataNode: Received block blk_<NUM> from <IP>'
    >>> mask(b"2026-11-21T10:00:00.123Z worker[4711] at 0x7f3a lost 3 of 12")
    '<TIME> worker[<PID>] at <HEX> lost <NUM> of <NUM>'
    """
    line = line[:MAX_BYTES]
    for pattern, token in MASKS:
        line = pattern.sub(token, line)
    return " ".join(line.decode("utf-8", "backslashreplace").replace("\x00", " ").split())


class Normaliser:
    """Convert lines to templates, and cache the template of each digit shape.

    Attributes
    ----------
    n_hits, n_misses
        Number of lines found in the cache, and of lines that were masked.

    Examples
    --------
    >>> normaliser = Normaliser()
    >>> normaliser.templates([b"took 12 ms", b"took 97 ms"]), normaliser.n_hits
    (['took <NUM> ms', 'took <NUM> ms'], 1)
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self._cache: GenerationCache[bytes, str] = GenerationCache(capacity)
        self.n_hits = 0
        self.n_misses = 0

    def templates(self, lines: Iterable[bytes]) -> list[str]:
        """Return the template of each line, see :func:`mask`."""
        find = self._cache.get
        found: list[str] = []
        misses = self.n_misses
        for line in lines:
            shape = line.translate(SHAPE)
            found.append(find(shape) or self._miss(shape))
        self.n_hits += len(found) - (self.n_misses - misses)
        return found

    def _miss(self, shape: bytes) -> str:
        self.n_misses += 1
        template = mask(shape)
        if len(shape) <= CACHED_BYTES:
            self._cache.put(shape, template)
        return template
