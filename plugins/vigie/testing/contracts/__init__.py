"""One contract per role: checks that every implementation must pass, including the fakes.

A check takes the implementation under test as its argument and is named after the behaviour that it
requires. The tests run each check with each implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

_Check = TypeVar("_Check", bound=Callable[..., None])


class Contract(list[Callable[..., None]]):
    """The list of the checks of a role; as a decorator, the list appends a function to itself."""

    def __call__(self, check: _Check) -> _Check:
        self.append(check)
        return check


def together(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run actions concurrently, each in a thread; return their results or exceptions."""
    start = Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return action()
        except Exception as exc:  # noqa: BLE001  (the caller checks it)
            return exc

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def raised(kind: type[Exception], action: Callable[[], object]) -> Exception:
    """Run an action that must raise ``kind``, and return the exception."""
    try:
        action()
    except kind as exc:
        return exc
    raise AssertionError(f"expected {kind.__name__}, but nothing was raised")
