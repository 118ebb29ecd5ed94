"""How many lines a batch may have, so that its consumer is back in time."""

from __future__ import annotations

#: A batch takes at most this share of the time after which a member is given up.
SHARE = 1 / 3


class BatchSize:
    """Batches that stay below a third of the longest gap; pure.

    Parameters
    ----------
    most
        Lines a batch, at most.
    max_gap_s
        How long the consumer may be away; None: for ever, every batch has ``most`` lines.

    Examples
    --------
    >>> size = BatchSize(1000, max_gap_s=6.0)
    >>> size.lines
    100
    >>> size.took(100, 1.0)  # 0.01 s a line: 2 s are 200 lines
    >>> size.lines
    200
    >>> size.took(200, 40.0)
    >>> size.lines
    10
    """

    def __init__(self, most: int, max_gap_s: float | None) -> None:
        self._most = most
        self._budget_s = None if max_gap_s is None else max_gap_s * SHARE
        self.lines = most if max_gap_s is None else min(most, 100)  # nothing is known yet

    def took(self, lines: int, seconds: float) -> None:
        """Learn from a batch; grow at most twofold at once, shrink at once."""
        if self._budget_s is None or not lines:
            return
        fitting = int(self._budget_s * lines / max(seconds, 1e-9))
        self.lines = max(1, min(self._most, fitting, 2 * self.lines))
