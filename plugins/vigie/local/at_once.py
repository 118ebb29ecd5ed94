"""Calls that are made all at once and waited for together, up to one deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]], wait_s: float) -> list[T | None]:
    """Return what each call returned, in order; None for one that is not back after ``wait_s``.

    Such a call is left to itself: neither we nor the end of the process waits for its thread, as it
    would for one of a ThreadPoolExecutor. What a call raises is raised here.

    Examples
    --------
    >>> from time import sleep
    >>> at_once([lambda: "soon", lambda: sleep(60)], wait_s=0.1)
    ['soon', None]
    """
    futures = [_started(call) for call in calls]
    done, _ = wait(futures, wait_s)
    return [future.result() if future in done else None for future in futures]


def _started(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 (raised where it is waited for)
            future.set_exception(exc)

    Thread(target=run, daemon=True).start()
    return future
