"""Which lines are predictions: the text, the method and the path must all agree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vigie.api_log.line import ApiLogEntry

DEFAULT_PATTERN = "API Call - POST /predict"
_CALL = re.compile(r"\b(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (?P<path>/\S*)")


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Keeps entries whose message holds ``pattern``; a METHOD /path in it must be the call's own.

    Examples
    --------
    >>> from vigie.api_log.line import parse
    >>> keep = LineFilter(DEFAULT_PATTERN)
    >>> head = "2026-11-21T10:00:00Z - api - INFO - [t] API Call - "
    >>> calls = "POST /predict", "POST /predict_batch", "GET /health"
    >>> [keep.matches(parse(head + call)) for call in calls]
    [True, False, False]
    """

    pattern: str

    def matches(self, entry: ApiLogEntry) -> bool:
        """Say whether an entry is of this pattern; the empty pattern keeps every API call."""
        if entry.http_method is None or self.pattern not in entry.message:
            return False
        call = _CALL.search(self.pattern)
        own = (entry.http_method, entry.http_path)
        return call is None or (call["method"], call["path"]) == own
