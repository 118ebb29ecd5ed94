"""Map the words of normalised lines to numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import orjson

from vigie.errors import DataError

PAD, UNKNOWN = 0, 1
FIRST = 2
MAX_LEN = 50
"""Maximum number of tokens of a line that a detector reads (``MAX_LEN`` in the specification)."""


def tokens(line: str) -> list[str]:
    """Return the first ``MAX_LEN`` tokens of a line.

    Raises
    ------
    DataError
        The line is blank.
    """
    found = line.split(maxsplit=MAX_LEN)[:MAX_LEN]
    if not found:
        raise DataError("a blank line has no score")
    return found


@dataclass(frozen=True)
class Vocabulary:
    """Map words to numbers from 2 on; 0 is padding and 1 is any word not in ``words``.

    Examples
    --------
    >>> words = Vocabulary.build(["a b", "a c"], [5.0, 1.0])
    >>> words.encode("a c z"), len(words)
    ([2, 4, 1], 5)
    """

    words: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {word: number for number, word in enumerate(self.words, FIRST)}
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def build(cls, lines: Iterable[str], weights: Sequence[float], max_size: int = 5000) -> Self:
        """Return a vocabulary of the ``max_size`` most frequent words.

        Words of equal frequency are taken in alphabetical order.
        """
        counts: Counter[str] = Counter()
        for line, weight in zip(lines, weights, strict=True):
            for word in tokens(line):
                counts[word] += weight  # type: ignore[assignment]  # weights may be floats
        return cls(tuple(sorted(counts, key=lambda word: (-counts[word], word))[:max_size]))

    def encode(self, line: str) -> list[int]:
        """Return the numbers of the first ``MAX_LEN`` words of a line."""
        return [self._numbers.get(word, UNKNOWN) for word in tokens(line)]

    def __len__(self) -> int:
        return len(self.words) + FIRST

    def pack(self) -> bytes:
        return orjson.dumps(self.words)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Rebuild the vocabulary from the JSON of :meth:`pack`."""
        return cls(tuple(orjson.loads(data)))
