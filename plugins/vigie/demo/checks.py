"""What the demo claims, and whether it held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vigie.errors import PermanentError


class DemoFailedError(PermanentError):
    """At least one assertion of the demo did not hold."""


@dataclass(frozen=True, slots=True)
class Check:
    """One assertion: what was expected, what was found from outside."""

    step: str
    claim: str
    expected: str
    found: str
    ok: bool


class Checks:
    """Collects assertions; a failed one does not stop the demo, the summary shows them all."""

    def __init__(self) -> None:
        self.step = ""
        self._all: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._all)

    def equal(self, claim: str, found: object, expected: object) -> bool:
        """Assert equality of two values that were read from different places."""
        return self._add(claim, str(expected), str(found), found == expected)

    def holds(self, claim: str, ok: bool, found: object) -> bool:
        """Assert a condition; ``found`` is what the summary shows."""
        return self._add(claim, "yes", str(found), ok)

    def _add(self, claim: str, expected: str, found: str, ok: bool) -> bool:
        self._all.append(Check(self.step, claim, expected, found, ok))
        return ok

    @property
    def failed(self) -> list[Check]:
        return [check for check in self._all if not check.ok]

    def require(self) -> None:
        """Raise DemoFailedError naming the first assertion that did not hold."""
        if self.failed:
            first = self.failed[0]
            raise DemoFailedError(
                f"{len(self.failed)} of {len(self._all)} assertions did not hold; the first: "
                f"{first.step}: {first.claim}: expected {first.expected}, found {first.found}"
            )
