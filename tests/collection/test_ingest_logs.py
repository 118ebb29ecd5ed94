"""Collection of API log lines: none is lost or stored twice, and every line is counted."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie import catalogue
from vigie.api_log.line import render
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.collection.ingest_logs import IngestResult, ingest_logs
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.encoding import dumps
from vigie.errors import DataError, TransientError
from vigie.records import Document, IndexOutcome, LogBatch, Prediction, Rejection
from vigie.state_keys import collector_cursor
from vigie.testing import FakeServices
from vigie.testing.index import FakeIndex

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEALTH = "2026-01-01T12:00:00Z - vigie.api - INFO - [h{}] API Call - GET /health - Status: 200"
REFUSED = (
    "2026-01-01T12:00:00Z - vigie.api - WARNING - [r{}] API Call - POST /predict - Status: 422 - "
    "Execution Time: 1.5 ms"
)


def predicted(number: int, **changes: object) -> Prediction:
    prediction = Prediction(
        transaction_id=f"t{number}",
        model="fraud",
        model_version=1,
        features={"V1": number / 2},
        prediction="NO",
        probability=0.25,
        message="No fraud",
        created_at=AT + timedelta(seconds=number),
        latency_ms=2.5,
        cpu_percent=3.0,
        memory_mb=100.0,
    )
    return replace(prediction, **changes)  # type: ignore[arg-type]


class Lines:
    """A source of given lines; ``shift`` is added to each requested offset."""

    def __init__(self, lines: Iterable[str], *, shift: int = 0, total: bool = False) -> None:
        self.lines = list(lines)
        self.shift = shift
        self.total = total

    def check(self) -> str:
        return "lines"

    def read(self, offset: int, limit: int) -> LogBatch:
        start = max(0, offset + self.shift)
        lines = tuple(self.lines[start : start + limit])
        return LogBatch(start, lines, start + len(lines), len(self.lines) if self.total else None)


class PickyIndex(FakeIndex):
    """An index that refuses the documents of one transaction."""

    def __init__(self, transaction_id: str, index: str) -> None:
        super().__init__()
        self.transaction_id, self.index = transaction_id, index

    def create(self, index: str, documents: list[Document]) -> IndexOutcome:  # type: ignore[override]
        bad = [
            document
            for document in documents
            if index == self.index and document.body.get("transaction_id") == self.transaction_id
        ]
        outcome = super().create(index, [d for d in documents if d not in bad])
        rejections = [Rejection(d.id, "document_parsing_exception", "AGE: sixty") for d in bad]
        return replace(outcome, rejected=outcome.rejected + tuple(rejections))


def collect(services: FakeServices, limit: int = 1000, batch_size: int = 3) -> IngestResult:
    report = ingest_logs(services, limit=limit, batch_size=batch_size)
    for index, counts in report.counts.items():
        counts.checked(index)
        assert counts.read == report.read
    return report


def totals(services: FakeServices) -> tuple[int, int, int, int]:
    return tuple(services.index.count(spec.name) for spec in (RAW, MESSAGE, PERFS, DEAD_LETTERS))  # type: ignore[return-value]


@pytest.fixture
def mixed(services: FakeServices) -> FakeServices:
    """Services with 5 predictions, a health check, a refused call and 2 invalid lines."""
    lines = [render(predicted(n)) for n in range(5)]
    lines += [HEALTH.format(1), REFUSED.format(1), "no log line", render(predicted(9))[:-20]]
    services.api_logs = Lines(lines)  # type: ignore[assignment]
    return services


def test_every_line_is_indexed_raw_and_only_predictions_as_messages(mixed: FakeServices) -> None:
    report = collect(mixed)
    assert report.read == 9
    assert totals(mixed) == (9, 5, 6, 2)
    message = report.counts[MESSAGE.name]
    assert (message.indexed, message.filtered, message.dead_lettered) == (5, 2, 2)
    perfs = report.counts[PERFS.name]
    assert (perfs.indexed, perfs.filtered, perfs.dead_lettered) == (6, 1, 2)


def test_the_documents_have_the_documented_fields(services: FakeServices) -> None:
    services.predictions.add(predicted(3))
    collect(services)
    message = next(services.index.scan(MESSAGE.name)).body
    assert message["@timestamp"] == "2026-01-01T12:00:03.000000Z"
    assert message["transaction_id"] == "t3"
    assert message["input_data"] == {"V1": 1.5}
    assert message["result"] == {"prediction": "NO", "probability": 0.25, "message": "No fraud"}
    assert (message["model"], message["model_version"]) == ("fraud", 1)
    perfs = next(services.index.scan(PERFS.name)).body
    assert (perfs["execution_time_ms"], perfs["cpu_percent"], perfs["memory_mb"]) == (
        2.5,
        3.0,
        100.0,
    )
    raw = next(services.index.scan(RAW.name)).body
    assert raw["raw_log"] == render(predicted(3))
    assert raw["level"] == "INFO"


def test_a_field_may_be_in_one_index_only(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(RAW.fields, "memory_mb")  # type: ignore[arg-type]  # a dict in fact
    services.predictions.add(predicted(1, memory_mb=200.5))
    collect(services)
    (document,) = services.index.scan(PERFS.name)
    assert document.body["memory_mb"] == 200.5


def test_the_next_run_reads_only_new_lines(mixed: FakeServices) -> None:
    collect(mixed)
    assert collect(mixed).read == 0
    mixed.api_logs.lines.append(render(predicted(20)))  # type: ignore[attr-defined]
    assert collect(mixed).read == 1


def test_a_run_stops_at_the_limit_and_the_next_one_continues(mixed: FakeServices) -> None:
    assert [collect(mixed, limit=4).read for _ in range(4)] == [4, 4, 1, 0]
    assert totals(mixed) == (9, 5, 6, 2)


@pytest.mark.parametrize(
    "cursor",
    [{}, {"offset": -1, "last_line": ""}, {"offset": "7"}, {"offset": 10**9, "last_line": "x"}],
)
def test_an_invalid_cursor_restarts_without_writing_duplicates(
    mixed: FakeServices, cursor: dict[str, object]
) -> None:
    collect(mixed)
    before = totals(mixed)
    mixed.state.put(collector_cursor("api"), cursor)
    report = collect(mixed)
    assert (report.restarted, report.read) == (True, 9)
    assert totals(mixed) == before
    assert sum(counts.indexed for counts in report.counts.values()) == 0


@pytest.mark.parametrize("n_new", [2, 9, 30])
def test_a_source_that_was_reset_is_read_from_the_beginning(
    mixed: FakeServices, n_new: int
) -> None:
    collect(mixed)
    mixed.api_logs = Lines(render(predicted(100 + n)) for n in range(n_new))  # type: ignore[assignment]
    report = collect(mixed)
    assert (report.restarted, report.read) == (True, n_new)
    assert mixed.index.count(MESSAGE.name) == 5 + n_new


def test_overlapping_batches_write_no_duplicates(mixed: FakeServices) -> None:
    mixed.api_logs.shift = -2  # type: ignore[attr-defined]
    for _ in range(20):
        collect(mixed, limit=4, batch_size=3)
    assert totals(mixed) == (9, 5, 6, 2)


def test_a_source_that_repeats_its_first_batch_does_not_loop(
    mixed: FakeServices,
) -> None:
    collect(mixed, limit=3)
    mixed.api_logs.shift = -(10**6)  # type: ignore[attr-defined]
    assert collect(mixed, batch_size=2).read == 2


def test_lines_that_the_source_deleted_are_counted(mixed: FakeServices) -> None:
    mixed.api_logs.shift = 2  # type: ignore[attr-defined]
    assert collect(mixed, limit=3).lost == 2


def test_the_lag_is_known_if_the_source_reports_a_total(mixed: FakeServices) -> None:
    assert collect(mixed, limit=3).lag is None
    mixed.api_logs.total = True  # type: ignore[attr-defined]
    assert collect(mixed, limit=3).lag == 3
    assert collect(mixed).lag == 0


def test_a_source_that_returns_short_batches_is_read_completely(mixed: FakeServices) -> None:
    class Short(Lines):
        def read(self, offset: int, limit: int) -> LogBatch:
            return super().read(offset, min(limit, 2))

    mixed.api_logs = Short(mixed.api_logs.lines)  # type: ignore[attr-defined,assignment]
    assert collect(mixed, batch_size=5).read == 9


def test_a_dead_letter_contains_the_bytes_the_reason_and_the_offset(mixed: FakeServices) -> None:
    collect(mixed)
    letter = next(
        d.body for d in mixed.index.scan(DEAD_LETTERS.name) if d.body["source_offset"] == 7
    )
    assert base64.b64decode(letter["original_b64"]) == b"no log line"
    assert letter["error_type"] == "unreadable_line"
    assert "expected 'TIMESTAMP" in letter["reason"]
    assert (letter["source"], letter["source_kind"]) == ("api", "api_log")
    assert letter["schema_version"] == 1


@pytest.mark.parametrize("index", [RAW.name, MESSAGE.name, PERFS.name])
def test_a_refused_document_does_not_block_the_others(mixed: FakeServices, index: str) -> None:
    mixed.index = PickyIndex("t2", index)
    report = collect(mixed)
    assert mixed.index.count(DEAD_LETTERS.name) == 3
    assert report.counts[index].dead_lettered == (1 if index == RAW.name else 3)
    kinds = [d.body["error_type"] for d in mixed.index.scan(DEAD_LETTERS.name)]
    assert kinds.count("document_parsing_exception") == 1


def test_the_cursor_does_not_move_while_the_index_is_down(
    mixed: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> IndexOutcome:
        raise TransientError("the index did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(mixed.index, "create", down)
        with pytest.raises(TransientError):
            collect(mixed)
    assert mixed.state.get(collector_cursor("api")) is None
    assert collect(mixed).read == 9


def test_the_cursor_does_not_move_if_the_counts_do_not_add_up(mixed: FakeServices) -> None:
    class Forgetful(FakeIndex):
        def create(self, index: str, documents: list[Document]) -> IndexOutcome:  # type: ignore[override]
            return super().create(index, documents[1:])

    mixed.index = Forgetful()
    with pytest.raises(DataError, match="3 lines were read, but 2 were counted"):
        collect(mixed)
    assert mixed.state.get(collector_cursor("api")) is None


def test_dead_letters_have_metrics(mixed: FakeServices) -> None:
    """One metric counts the dead letters of a collection, another counts all; 0 is pushed too."""
    for of_the_run in (2, 0):
        samples = ingest_logs(mixed, limit=100).metrics
        found = {(s.name, s.labels.get("index", "")): s.value for s in samples}
        assert found[catalogue.DEAD_LETTERS, ""] == 2
        assert found[catalogue.LOGS_DEAD_LETTERED, PERFS.name] == of_the_run


def test_the_cursor_does_not_move_if_dead_letters_are_refused(mixed: FakeServices) -> None:
    mixed.index = PickyIndex("t2", MESSAGE.name)
    original = mixed.index.create

    def create(index: str, documents: list[Document]) -> IndexOutcome:
        if index == DEAD_LETTERS.name:
            return IndexOutcome(0, 0, tuple(Rejection(d.id, "x", "full") for d in documents))
        return original(index, documents)

    mixed.index.create = create  # type: ignore[method-assign,assignment]
    with pytest.raises(DataError, match="refused"):
        collect(mixed)
    assert mixed.state.get(collector_cursor("api")) is None


def test_a_large_clock_skew_is_flagged(services: FakeServices) -> None:
    now = services.now()
    services.predictions.add(predicted(1, created_at=now + timedelta(hours=25)))
    services.predictions.add(predicted(2, created_at=now - timedelta(hours=23)))
    collect(services)
    flags = {
        d.body["transaction_id"]: d.body.get("clock_skew")
        for d in services.index.scan(MESSAGE.name)
    }
    assert flags == {"t1": True, "t2": None}


@pytest.mark.parametrize(
    "result",
    [{}, {"prediction": 1, "probability": 0.5}, {"prediction": "NO", "probability": "high"},
     {"prediction": "NO", "probability": 1.5}, {"prediction": "NO", "probability": True}],
)  # fmt: skip
def test_a_line_with_an_invalid_result_becomes_a_dead_letter(
    services: FakeServices, result: dict[str, object]
) -> None:
    line = render(predicted(1)).split(" - Result: ")[0] + f" - Result: {dumps(result).decode()}"
    services.api_logs = Lines([line])  # type: ignore[assignment]
    collect(services)
    assert totals(services) == (1, 0, 0, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12), st.integers(1, 5))
def test_lines_of_arbitrary_bytes_are_counted_and_recoverable(
    tmp_path_factory, lines, batch_size
) -> None:  # type: ignore[no-untyped-def]
    services = FakeServices(tmp_path_factory.mktemp("ingest"))
    services.api_logs = Lines(raw.decode("utf-8", "surrogateescape") for raw in lines)  # type: ignore[assignment]
    collect(services, batch_size=batch_size)
    collect(services, batch_size=batch_size)
    kept = {
        base64.b64decode(d.body["original_b64"]) for d in services.index.scan(DEAD_LETTERS.name)
    }
    raw_documents = list(services.index.scan(RAW.name))
    assert len(raw_documents) == len(set(lines))
    assert kept <= set(lines)
    for document in raw_documents:
        dumps(document.body).decode("utf-8", "strict")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1, 7), st.integers(1, 7))
def test_repeated_lines_in_any_order_write_one_document_per_transaction(
    tmp_path_factory, order, batch_size, limit
) -> None:  # type: ignore[no-untyped-def]
    services = FakeServices(tmp_path_factory.mktemp("ingest"))
    services.api_logs = Lines(render(predicted(n)) for n in order)  # type: ignore[assignment]
    while collect(services, batch_size=batch_size, limit=limit).read:
        pass
    assert totals(services) == (len(set(order)),) * 3 + (0,)
