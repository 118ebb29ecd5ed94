"""The contract of :class:`vigie.roles.LogIndex`."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from vigie.errors import DataError
from vigie.records import Document, IndexOutcome, IndexSpec
from vigie.roles import LogIndex
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import NOON

CHECKS = Contract()
SPEC = IndexSpec(
    "ml-api-logs",
    {
        "@timestamp": "date",
        "message": "text",
        "level": "keyword",
        "status": "integer",
        "bytes": "long",
        "score": "float",
        "is_anomaly": "boolean",
        "input_data": "flattened",
    },
)


def document_of(number: int, **changes: Any) -> Document:
    at = NOON + timedelta(seconds=number)
    return Document(f"d{number:05}", {"@timestamp": at.isoformat(), "status": 200, **changes})


def filled(index: LogIndex, n: int) -> list[Document]:
    index.ensure(SPEC)
    documents = [document_of(number) for number in range(n)]
    index.create(SPEC.name, documents)
    return documents


@CHECKS
def an_index_that_does_not_exist_is_empty(index: LogIndex) -> None:
    assert index.count("nothing") == 0
    assert index.get("nothing", "1") is None
    assert index.fields("nothing") is None
    assert list(index.scan("nothing")) == []
    assert index.delete("nothing", ["1"]) == index.drop("nothing") == 0


@CHECKS
def writing_to_an_index_that_does_not_exist_is_refused(index: LogIndex) -> None:
    raised(DataError, lambda: index.create("nothing", [document_of(1)]))


@CHECKS
def ensure_is_idempotent_and_keeps_documents(index: LogIndex) -> None:
    filled(index, 2)
    index.ensure(SPEC)
    assert index.count(SPEC.name) == 2
    assert index.fields(SPEC.name) == dict(SPEC.fields)


@CHECKS
def ensure_adds_new_fields_but_never_changes_a_type(index: LogIndex) -> None:
    index.ensure(SPEC)
    index.ensure(IndexSpec(SPEC.name, {"status": "integer", "new": "keyword"}))
    assert index.fields(SPEC.name) == {**SPEC.fields, "new": "keyword"}
    raised(DataError, lambda: index.ensure(IndexSpec(SPEC.name, {"status": "keyword"})))


@CHECKS
def an_unknown_type_is_refused(index: LogIndex) -> None:
    raised(DataError, lambda: index.ensure(IndexSpec("x", {"a": "geo_point"})))


@CHECKS
def writing_again_changes_nothing(index: LogIndex) -> None:
    documents = filled(index, 3)
    changed = Document(documents[0].id, {"status": 500})
    outcome = index.create(SPEC.name, [changed, *documents, document_of(9)])
    assert outcome == IndexOutcome(created=1, already_there=4)
    assert index.get(SPEC.name, changed.id) == dict(documents[0].body)


@CHECKS
def the_first_of_two_documents_with_the_same_id_is_kept(index: LogIndex) -> None:
    index.ensure(SPEC)
    twice = [Document("1", {"status": 1}), Document("1", {"status": 2})]
    assert index.create(SPEC.name, twice) == IndexOutcome(created=1, already_there=1)
    assert index.get(SPEC.name, "1") == {"status": 1}


@CHECKS
def an_empty_batch_writes_nothing(index: LogIndex) -> None:
    index.ensure(SPEC)
    assert index.create(SPEC.name, []) == IndexOutcome(0, 0)


@CHECKS
def scan_is_ordered_by_time_then_id(index: LogIndex) -> None:
    index.ensure(SPEC)
    at = {"b": NOON, "a": NOON, "Z": NOON, "é": NOON, "late": NOON + timedelta(microseconds=1)}
    bodies = {key: {"@timestamp": when.isoformat()} for key, when in at.items()}
    index.create(SPEC.name, [Document(key, body) for key, body in bodies.items()])
    index.create(SPEC.name, [Document("timeless", {"status": 1})])
    assert [d.id for d in index.scan(SPEC.name)] == ["timeless", "Z", "a", "b", "é", "late"]


@CHECKS
def scan_includes_since_and_excludes_until(index: LogIndex) -> None:
    documents = filled(index, 5)
    second = timedelta(seconds=1)
    found = list(index.scan(SPEC.name, NOON + second, NOON + 3 * second))
    assert found == documents[1:3]


@CHECKS
def scan_reads_more_than_one_batch(index: LogIndex) -> None:
    index.ensure(SPEC)
    same = NOON.isoformat()
    documents = [Document(f"d{i:05}", {"@timestamp": same}) for i in range(2500)]
    assert index.create(SPEC.name, documents).created == 2500
    assert [d.id for d in index.scan(SPEC.name)] == [d.id for d in documents]


@CHECKS
def delete_returns_the_number_of_deleted_documents(index: LogIndex) -> None:
    documents = filled(index, 3)
    assert index.delete(SPEC.name, [documents[0].id, "missing"]) == 1
    assert index.delete(SPEC.name, []) == 0
    assert index.count(SPEC.name) == 2


@CHECKS
def drop_removes_one_index_only(index: LogIndex) -> None:
    filled(index, 3)
    index.ensure(IndexSpec("other", {"status": "integer"}))
    index.create("other", [Document("1", {"status": 1})])
    assert index.drop(SPEC.name) == 3
    assert (index.count(SPEC.name), index.fields(SPEC.name)) == (0, None)
    assert index.count("other") == 1


@CHECKS
def the_time_spent_waiting_is_returned_once(index: LogIndex) -> None:
    filled(index, 1)
    index.take_backoff_s()
    assert index.take_backoff_s() == 0.0


@CHECKS
def concurrent_writers_of_the_same_documents_write_each_once(index: LogIndex) -> None:
    index.ensure(SPEC)
    documents = [document_of(number) for number in range(300)]
    batches = [documents, documents[::-1], documents[100:] + documents[:100], documents]
    outcomes = together([partial(index.create, SPEC.name, batch) for batch in batches])
    written = [o for o in outcomes if isinstance(o, IndexOutcome)]
    assert len(written) == 4, outcomes
    assert sum(o.created for o in written) == index.count(SPEC.name) == 300
    assert sum(o.already_there for o in written) == 900
