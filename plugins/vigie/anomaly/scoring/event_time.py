"""When a log line says that it happened."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SEARCHED = 80
"""Bytes from the start of a line in which its own time may stand; later ones belong to the
message."""

SKEW = timedelta(hours=24)
"""A line whose time is further than this from its arrival has a wrong clock, or is an old log."""

_STAMP = re.compile(
    rb"(?<!\d)(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,6}))?\d*"
    rb"\s?(Z|[+-]\d{2}:?\d{2})?"
)


def event_time(line: bytes) -> datetime | None:
    """Return the ISO 8601 time near the start of a line in UTC (without a zone: UTC), or None.

    Examples
    --------
    >>> event_time(b"[2026-11-21T10:00:00.5+01:00] INFO - started").isoformat()
    '2026-11-21T09:00:00.500000+00:00'
    >>> event_time(b"2026-02-30 10:00:00 no such day") is None
    True
    """
    found = _STAMP.search(line[:SEARCHED])
    if found is None:
        return None
    numbers = [int(part) for part in found.groups()[:6]]
    fraction = int((found[7] or b"0").ljust(6, b"0"))
    try:
        at = datetime(*numbers, fraction, tzinfo=UTC)  # type: ignore[arg-type,misc]
        return at - _offset(found[8] or b"Z")
    except (ValueError, OverflowError):
        return None


def _offset(zone: bytes) -> timedelta:
    if zone == b"Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[:1] == b"+" else -1) * timedelta(hours=hours, minutes=minutes)
