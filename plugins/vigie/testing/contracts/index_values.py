"""The contract of :class:`vigie.roles.LogIndex` for the values in documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vigie.records import Document, IndexOutcome
from vigie.roles import LogIndex
from vigie.testing.contracts import Contract
from vigie.testing.contracts.index import SPEC, document_of
from vigie.testing.contracts.record_stores import CLEAN, UGLY

CHECKS = Contract()


@CHECKS
def a_document_is_returned_as_it_was_written(index: LogIndex) -> None:
    index.ensure(SPEC)
    body = {
        "@timestamp": "2026-11-21T12:00:00Z",
        "message": "200 OK\r\n\u2028",
        "level": ["INFO", "WARN"],
        "status": 2**31 - 1,
        "bytes": -(2**63),
        "score": 0.1,
        "is_anomaly": False,
        "input_data": {"AGE": 60, "nested": {"any": ["thing", None]}},
    }
    assert index.create(SPEC.name, [Document("1", body)]) == IndexOutcome(1, 0)
    assert index.get(SPEC.name, "1") == body
    assert index.get(SPEC.name, "2") is None


@CHECKS
def every_field_may_be_null_or_absent(index: LogIndex) -> None:
    index.ensure(SPEC)
    nulls = Document("1", dict.fromkeys(SPEC.fields))
    assert index.create(SPEC.name, [nulls, Document("2", {})]) == IndexOutcome(2, 0)


@CHECKS
def an_unknown_field_rejects_that_document_alone(index: LogIndex) -> None:
    index.ensure(SPEC)
    outcome = index.create(SPEC.name, [document_of(0), document_of(1, surprise=1), document_of(2)])
    assert (outcome.created, outcome.already_there) == (2, 0)
    [rejection] = outcome.rejected
    assert (rejection.id, rejection.kind) == ("d00001", "strict_dynamic_mapping_exception")
    assert "surprise" in rejection.reason
    assert index.fields(SPEC.name) == dict(SPEC.fields)


@CHECKS
def a_value_of_the_wrong_type_rejects_that_document_alone(index: LogIndex) -> None:
    index.ensure(SPEC)
    wrong = {
        "@timestamp": "yesterday",
        "message": {"an": "object"},
        "level": {"an": "object"},
        "status": "sixty",
        "bytes": 2**63,
        "score": "high",
        "is_anomaly": "maybe",
        "input_data": "not an object",
    }
    for field, value in wrong.items():
        outcome = index.create(SPEC.name, [Document("wrong", {field: value}), Document(field, {})])
        assert [r.kind for r in outcome.rejected] == ["document_parsing_exception"], field
        assert field in outcome.rejected[0].reason
        assert outcome.created == 1
    assert index.get(SPEC.name, "wrong") is None


@CHECKS
def numbers_out_of_range_are_rejected(index: LogIndex) -> None:
    index.ensure(SPEC)
    wrong: Any = [{"status": 2**31}, {"status": True}, {"score": 1e39}, {"status": [1, "x"]}]
    documents = [Document(str(number), body) for number, body in enumerate(wrong)]
    assert len(index.create(SPEC.name, documents).rejected) == len(wrong)


@CHECKS
def a_document_that_json_cannot_represent_is_rejected_alone(index: LogIndex) -> None:
    index.ensure(SPEC)
    invalid = [Document("huge", {"input_data": {"n": 2**64}}), Document("", {"status": 1})]
    outcome = index.create(SPEC.name, [document_of(0), *invalid, document_of(1)])
    assert (outcome.created, [r.id for r in outcome.rejected]) == (2, ["huge", ""])


@CHECKS
def characters_that_stores_refuse_are_escaped(index: LogIndex) -> None:
    index.ensure(SPEC)
    body = {"message": UGLY, "score": float("nan"), "input_data": {UGLY: [UGLY, float("inf")]}}
    assert index.create(SPEC.name, [Document(UGLY, body)]).created == 1
    clean = {"message": CLEAN, "score": None, "input_data": {CLEAN: [CLEAN, None]}}
    assert index.get(SPEC.name, UGLY) == clean
    assert [d.id for d in index.scan(SPEC.name)] == [CLEAN]
    assert index.delete(SPEC.name, [UGLY]) == 1


@CHECKS
def a_long_keyword_is_stored(index: LogIndex) -> None:
    """Lucene refuses the whole document if a term has more than 32,766 bytes."""
    index.ensure(SPEC)
    for number, long in enumerate(("k" * 40_000, "é" * 40_000, "😀" * 20_000)):
        body = {"level": long, "input_data": {"id": long}}
        assert index.create(SPEC.name, [Document(str(number), body)]) == IndexOutcome(1, 0)
        assert index.get(SPEC.name, str(number)) == body


@CHECKS
def dates_with_different_zones_are_ordered_by_time(index: LogIndex) -> None:
    index.ensure(SPEC)
    times = ["2026-11-21T13:00:00+02:00", "2026-11-21T12:00:00Z", "2026-11-21", 1795258800000]
    index.create(SPEC.name, [Document(str(i), {"@timestamp": t}) for i, t in enumerate(times)])
    assert [d.id for d in index.scan(SPEC.name)] == ["2", "0", "3", "1"]
    eleven = datetime(2026, 11, 21, 11, tzinfo=UTC)
    assert [d.id for d in index.scan(SPEC.name, until=eleven)] == ["2"]
