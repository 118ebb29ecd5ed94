"""A clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Callable like ``services.now``; stands still until told.

    Examples
    --------
    >>> clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    >>> clock.advance(hours=6)
    >>> clock().isoformat()
    '2026-01-01T06:00:00+00:00'
    """

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 11, 21, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def set(self, at: datetime) -> None:
        self.at = at

    def advance(self, **delta: float) -> None:
        """Move by a :class:`datetime.timedelta` given as its keywords."""
        self.at += timedelta(**delta)
