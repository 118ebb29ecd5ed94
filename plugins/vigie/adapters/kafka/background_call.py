"""A call that knows no time limit, waited for a little at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Generic, TypeVar

from vigie.errors import TransientError

T = TypeVar("T")


class Errand(Generic[T]):
    """One call at a time in a thread of its own, which does not keep the process alive.

    Parameters
    ----------
    call
        What is done with one value; raises our errors.
    """

    def __init__(self, call: Callable[[T], None]) -> None:
        self._call = call
        self._on_its_way: tuple[T, Future[None]] | None = None

    def run(self, value: T, wait_s: float) -> None:
        """Do it, and wait up to ``wait_s``; the same value again only waits on.

        Another value waits for the one before it: two calls never overtake each other.

        Raises
        ------
        TransientError
            It is not done yet.
        """
        if self._on_its_way is not None and self._on_its_way[0] != value:
            self._wait(wait_s, is_wanted=False)
        if self._on_its_way is None:
            self._on_its_way = value, _started(self._call, value)
        self._wait(wait_s, is_wanted=True)

    def _wait(self, wait_s: float, *, is_wanted: bool) -> None:
        if self._on_its_way is None:
            return
        future = self._on_its_way[1]
        if not wait([future], wait_s).done:
            raise TransientError(f"no answer within {wait_s:.0f} s")
        self._on_its_way = None
        if is_wanted:
            future.result()

    def afterwards(self, then: Callable[[], None]) -> None:
        """Call ``then`` when nothing is on its way: now, or in the thread of what is."""
        if self._on_its_way is None:
            then()
        else:
            self._on_its_way[1].add_done_callback(lambda _: then())


def _started(call: Callable[[T], None], value: T) -> Future[None]:
    future: Future[None] = Future()

    def run() -> None:
        try:
            call(value)
        except BaseException as exc:  # noqa: BLE001 (raised where it is waited for)
            future.set_exception(exc)
        else:
            future.set_result(None)

    Thread(target=run, daemon=True).start()
    return future
