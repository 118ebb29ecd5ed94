"""One contract per role: checks that every implementation passes, fakes included.

A check is a function of the implementation under test; its name is the fact that it shows.
A test runs ``CHECKS × IMPLEMENTATIONS``; a new implementation adds one line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

_Check = TypeVar("_Check", bound=Callable[..., None])


class Contract(list[Callable[..., None]]):
    """The checks of a role, in order; also the decorator that adds one."""

    def __call__(self, check: _Check) -> _Check:
        self.append(check)
        return check


def together(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run actions at the same moment, each in its own thread; return results or what was raised."""
    start = Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return action()
        except Exception as exc:  # noqa: BLE001  (the check looks at it)
            return exc

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def raised(kind: type[Exception], action: Callable[[], object]) -> Exception:
    """Run an action that must raise ``kind`` and return what it raised."""
    try:
        action()
    except kind as exc:
        return exc
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")
