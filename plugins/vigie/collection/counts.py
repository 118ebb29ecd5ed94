"""What became of every line, per index: nothing is lost if this adds up."""

from __future__ import annotations

from dataclasses import dataclass

from vigie.errors import DataError


@dataclass(frozen=True, slots=True)
class LineCounts:
    """``read == indexed + already_there + filtered + dead_lettered``, for each index.

    Examples
    --------
    >>> LineCounts(read=3, indexed=1, filtered=2) + LineCounts(read=1, already_there=1)
    LineCounts(read=4, indexed=1, already_there=1, filtered=2, dead_lettered=0)
    """

    read: int = 0
    indexed: int = 0
    already_there: int = 0
    filtered: int = 0
    dead_lettered: int = 0

    def __add__(self, other: LineCounts) -> LineCounts:
        return LineCounts(
            self.read + other.read,
            self.indexed + other.indexed,
            self.already_there + other.already_there,
            self.filtered + other.filtered,
            self.dead_lettered + other.dead_lettered,
        )

    def checked(self, index: str) -> LineCounts:
        """Return the counts. Raises DataError if a line is unaccounted for."""
        told = self.indexed + self.already_there + self.filtered + self.dead_lettered
        if told != self.read:
            raise DataError(
                f"{index}: {self.read} lines were read but {told} are accounted for ({self}); "
                "the cursor stays where it was"
            )
        return self
