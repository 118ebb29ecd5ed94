"""The contract of :class:`vigie.roles.Locks`."""

from __future__ import annotations

from threading import Event

from vigie.errors import ConflictError
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import Records

CHECKS = Contract()


def _enter(records: Records, name: str, wait_s: float = 0.0) -> None:
    with records.locks.hold(name, wait_s):
        pass


@CHECKS
def a_lock_is_released_after_the_block(records: Records) -> None:
    for _ in range(3):
        _enter(records, "retrain:fraud")


@CHECKS
def a_held_lock_raises_at_once_and_is_named(records: Records) -> None:
    with records.locks.hold("retrain:fraud"):
        error = raised(ConflictError, lambda: _enter(records, "retrain:fraud"))
    assert "retrain:fraud" in str(error)


@CHECKS
def different_names_are_independent(records: Records) -> None:
    with records.locks.hold("retrain:fraud"):
        _enter(records, "retrain:lung_cancer")


@CHECKS
def a_lock_is_released_when_the_block_fails(records: Records) -> None:
    def fail() -> None:
        with records.locks.hold("retrain:fraud"):
            raise ZeroDivisionError

    raised(ZeroDivisionError, fail)
    _enter(records, "retrain:fraud")


@CHECKS
def a_waiting_caller_gets_the_released_lock(records: Records) -> None:
    held = Event()

    def first() -> None:
        with records.locks.hold("x", wait_s=10):
            held.set()

    def second() -> None:
        held.wait(10)
        _enter(records, "x", wait_s=10)

    assert together([first, second]) == [None, None]


@CHECKS
def a_waiting_caller_times_out(records: Records) -> None:
    with records.locks.hold("x"):
        raised(ConflictError, lambda: _enter(records, "x", wait_s=0.05))


@CHECKS
def only_one_caller_holds_the_lock(records: Records) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(5):
            with records.locks.hold("x", wait_s=30):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    assert together([work] * 4) == [None] * 4
    assert max(most) == 1
