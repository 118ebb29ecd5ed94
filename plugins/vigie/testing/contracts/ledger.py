"""The contracts of :class:`vigie.roles.Ledger` and :class:`vigie.roles.StateStore`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from vigie.errors import DataError
from vigie.records import Decision
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import CLEAN, NOON, UGLY, Records

LEDGER_CHECKS = Contract()
STATE_CHECKS = Contract()


def _decision(key: str = "r1:fraud:gate", **changes: Any) -> Decision:
    evidence = {"gain": 0.02, "min_gain": 0.01, "source": {"min_gain": "model file"}}
    decision = Decision(key, "fraud", "gate", "yes", ("better", "by far"), evidence, "ann", "r1")
    return replace(decision, **changes)


@LEDGER_CHECKS
def a_decision_is_returned_with_id_and_time(records: Records) -> None:
    number = records.ledger.record(_decision())
    [found] = records.ledger.decisions()
    assert found == replace(_decision(), id=number, at=records.clock())


@LEDGER_CHECKS
def the_same_key_again_returns_the_first_id(records: Records) -> None:
    first = records.ledger.record(_decision())
    assert records.ledger.record(_decision(verdict="no")) == first
    [kept] = records.ledger.decisions()
    assert kept.verdict == "yes"


@LEDGER_CHECKS
def decisions_are_newest_first_and_limited(records: Records) -> None:
    ids = [records.ledger.record(_decision(f"k{i}")) for i in range(4)]
    assert [d.id for d in records.ledger.decisions(limit=3)] == ids[:0:-1]


@LEDGER_CHECKS
def decisions_are_filtered(records: Records) -> None:
    records.ledger.record(_decision("a"))
    records.ledger.record(_decision("b", kind="trigger"))
    records.ledger.record(_decision("c", model="lung_cancer"))
    records.ledger.record(_decision("d", run_id=None))

    def keys(**asked: Any) -> list[str]:
        return [decision.key for decision in records.ledger.decisions(**asked)]

    assert keys(model="fraud") == ["d", "b", "a"]
    assert keys(model="fraud", kind="gate") == ["d", "a"]
    assert keys(run_id="r1") == ["c", "b", "a"]
    assert keys(model="unknown") == []


@LEDGER_CHECKS
def until_excludes_later_decisions(records: Records) -> None:
    records.clock.set(NOON)
    records.ledger.record(_decision("a"))
    records.clock.advance(hours=1)
    records.ledger.record(_decision("b"))
    early = records.ledger.decisions(until=NOON)
    assert [d.key for d in early] == ["a"]
    assert records.ledger.decisions(until=NOON - timedelta(seconds=1)) == []


@LEDGER_CHECKS
def evidence_with_invalid_values_is_cleaned(records: Records) -> None:
    evidence = {"nan": float("nan"), UGLY: [UGLY, 2**63 - 1]}
    records.ledger.record(_decision(reasons=(UGLY,), evidence=evidence))
    [found] = records.ledger.decisions()
    assert found.evidence == {"nan": None, CLEAN: [CLEAN, 2**63 - 1]}
    assert found.reasons == (CLEAN,)


@LEDGER_CHECKS
def evidence_that_json_cannot_represent_is_refused(records: Records) -> None:
    raised(DataError, lambda: records.ledger.record(_decision(evidence={"huge": 2**64})))
    assert records.ledger.decisions() == []


@LEDGER_CHECKS
def concurrent_records_of_one_key_are_one_decision(records: Records) -> None:
    ids = together([lambda: records.ledger.record(_decision())] * 6)
    [only] = records.ledger.decisions()
    assert ids == [only.id] * 6


@STATE_CHECKS
def an_unknown_key_is_none(records: Records) -> None:
    assert records.state.get("nothing") is None


@STATE_CHECKS
def a_value_replaces_the_previous_one(records: Records) -> None:
    records.state.put("cursor", {"offset": 1, "old": True})
    records.state.put("cursor", {"offset": 2})
    assert records.state.get("cursor") == {"offset": 2}


@STATE_CHECKS
def values_are_not_shared_with_the_caller(records: Records) -> None:
    value = {"list": [1]}
    records.state.put("k", value)
    value["list"].append(2)
    first = records.state.get("k")
    assert first is not None
    first["list"].append(3)
    assert records.state.get("k") == {"list": [1]}


@STATE_CHECKS
def values_are_deleted_by_key_prefix(records: Records) -> None:
    for key in ("a_b:1", "a_b:2", "a_bc", "axb:1", "%"):
        records.state.put(key, {})
    assert records.state.forget("a_b:") == 2
    assert records.state.forget("a_b:") == 0
    assert [key for key in ("a_b:1", "a_b:2") if records.state.get(key) is not None] == []
    assert [key for key in ("a_bc", "axb:1", "%") if records.state.get(key) is None] == []


@STATE_CHECKS
def state_with_invalid_values_is_cleaned(records: Records) -> None:
    records.state.put("k", {UGLY: UGLY, "nan": float("nan"), "float": 0.1})
    assert records.state.get("k") == {CLEAN: CLEAN, "nan": None, "float": 0.1}


@STATE_CHECKS
def state_that_json_cannot_represent_is_refused(records: Records) -> None:
    raised(DataError, lambda: records.state.put("k", {"huge": 2**64}))
    assert records.state.get("k") is None


@STATE_CHECKS
def concurrent_writers_leave_one_complete_value(records: Records) -> None:
    together([partial(records.state.put, "k", {"a": i, "b": i}) for i in range(6)])
    value = records.state.get("k")
    assert value is not None
    assert value["a"] == value["b"]
