"""Checks and maintenance of the log indices; listing and replaying dead letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.api_log.line import render
from vigie.collection.check_prerequisites import check_indices, check_prerequisites
from vigie.collection.documents import DEFAULT_PATTERN
from vigie.collection.index_lines import api_log_replay
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.collection.ingest_logs import ingest_logs
from vigie.collection.maintain_indices import Deduplicated, clear_indices, deduplicate_indices
from vigie.dead_letters.letters import API_LOG, DEAD_LETTERS, dead_letter
from vigie.dead_letters.replay import ReplayResult, replay_dead_letters
from vigie.dead_letters.write import list_dead_letters
from vigie.errors import PermanentError, SettingsError, TransientError
from vigie.records import Document, IndexSpec, LogBatch, Prediction
from vigie.testing import FakeServices


def send(services: FakeServices, *transactions: str) -> None:
    for transaction in transactions:
        services.predictions.add(
            Prediction(
                transaction, "toy", 1, {"a": 1}, "NO", 0.5, "", services.now(), latency_ms=1.0
            )
        )
    ingest_logs(services, limit=1000)


def refuse(services: FakeServices, line: str, kind: str = API_LOG, offset: int = 0) -> None:
    services.index.ensure(DEAD_LETTERS)
    letter = dead_letter(
        line.encode(),
        source_kind=kind,
        source="api",
        offset=offset,
        target_index=MESSAGE.name,
        error_type="unreadable_line",
        reason="an older version could not read it",
        at=services.now(),
    )
    services.index.create(DEAD_LETTERS.name, [letter])


def replay(services: FakeServices, *, dry_run: bool = False) -> ReplayResult:
    handler = api_log_replay(services, filter_pattern=DEFAULT_PATTERN, raw_index=RAW.name)
    return replay_dead_letters(services.index, {API_LOG: handler}, dry_run=dry_run)


def failing(error: Exception) -> Callable[..., object]:
    def call(*_: object) -> object:
        raise error

    return call


def test_prerequisites_return_the_source_and_the_document_counts(services: FakeServices) -> None:
    send(services, "t1")
    report = check_prerequisites(services)
    assert report.source == "in memory"
    assert report.documents == {RAW.name: 1, MESSAGE.name: 1, PERFS.name: 1, DEAD_LETTERS.name: 0}


def test_prerequisites_report_every_unavailable_service(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.api_logs, "check", failing(TransientError("Cannot reach the API")))
    monkeypatch.setattr(services.index, "ensure", failing(TransientError("Cannot reach the index")))
    with pytest.raises(TransientError, match="the API; Cannot reach the index"):
        check_prerequisites(services)


def test_a_wrong_setting_is_permanent_even_if_a_service_is_unavailable(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.api_logs, "check", failing(SettingsError("GRADIO_URL: no URL")))
    monkeypatch.setattr(services.index, "ensure", failing(TransientError("down")))
    with pytest.raises(PermanentError, match="GRADIO_URL"):
        check_prerequisites(services)


def test_new_indices_have_no_problems(services: FakeServices) -> None:
    report = check_indices(services)
    assert report.is_ok
    assert [index.name for index in report.indices] == [
        RAW.name,
        MESSAGE.name,
        PERFS.name,
        DEAD_LETTERS.name,
    ]


def test_an_unexpected_field_is_reported(services: FakeServices) -> None:
    services.index.ensure(IndexSpec(PERFS.name, {"@timestamp": "date", "stray": "text"}))
    problems = {index.name: index.problems for index in check_indices(services).indices}
    assert problems[PERFS.name] == ("stray: unexpected field (text)",)


def test_clearing_without_confirmation_deletes_nothing_and_lists_the_indices(
    services: FakeServices,
) -> None:
    send(services, "t1", "t2")
    with pytest.raises(PermanentError, match=r"ml-api-logs \(2 documents\).*--yes"):
        clear_indices(services, confirmed=False)
    assert services.index.count(RAW.name) == 2


def test_after_clearing_the_next_run_collects_every_line_again(services: FakeServices) -> None:
    send(services, "t1", "t2")
    report = clear_indices(services, confirmed=True)
    assert report.deleted == {RAW.name: 2, MESSAGE.name: 2, PERFS.name: 2}
    assert services.index.count(RAW.name) == 0
    assert ingest_logs(services, limit=10).read == 2
    assert services.index.count(MESSAGE.name) == 2


@pytest.mark.parametrize("before", [0, 2])
def test_a_running_collector_restarts_when_the_indices_are_cleared(
    services: FakeServices, before: int
) -> None:
    """The indices are cleared between reading and writing a batch, at offset 0 and later."""
    send(services, "t1", "t2", "t3", "t4")
    clear_indices(services, confirmed=True)
    ingest_logs(services, limit=before)
    source = services.api_logs

    class ClearedMeanwhile:
        cleared = 0

        def read(self, offset: int, limit: int) -> LogBatch:
            page = source.read(offset, limit)
            if limit > 1 and not self.cleared:  # limit 1 is the check for a reset
                self.cleared = clear_indices(services, confirmed=True).deleted[RAW.name] + 1
            return page

    services.api_logs = ClearedMeanwhile()  # type: ignore[assignment]
    report = ingest_logs(services, limit=10)
    assert services.api_logs.cleared == before + 1
    assert (report.read, report.offset) == (4, 4)
    assert [services.index.count(spec.name) for spec in (RAW, MESSAGE, PERFS)] == [4, 4, 4]


def test_collected_documents_have_no_duplicates(services: FakeServices) -> None:
    send(services, "t1", "t2")
    assert deduplicate_indices(services).removed == 0


def test_the_newest_document_of_a_transaction_is_kept(services: FakeServices) -> None:
    send(services, "t1")
    others = [
        Document("old", {"@timestamp": "2020-01-01T00:00:00Z", "transaction_id": "t1"}),
        Document("older", {"@timestamp": "2019-01-01T00:00:00Z", "transaction_id": "t1"}),
        Document("none1", {"@timestamp": "2020-01-01T00:00:00Z"}),
        Document("none2", {"@timestamp": "2020-01-01T00:00:00Z"}),
    ]
    services.index.create(MESSAGE.name, others)
    report = deduplicate_indices(services)
    assert report.indices[MESSAGE.name] == Deduplicated(before=5, removed=2, after=3)
    assert {d.id for d in services.index.scan(MESSAGE.name)} >= {"none1", "none2"}
    assert services.index.get(MESSAGE.name, "old") is None


def test_dead_letters_are_counted_by_error_type_and_listed_oldest_first(
    services: FakeServices,
) -> None:
    for number in range(3):
        refuse(services, f"line {number}")
        services.clock.advance(seconds=1)
    report = list_dead_letters(services.index, limit=2)
    assert (report.total, report.by_error) == (3, {"unreadable_line": 3})
    assert [letter["preview"] for letter in report.letters] == ["line 0", "line 1"]


def test_replay_indexes_and_deletes_letters_that_are_readable_now(services: FakeServices) -> None:
    at = services.now()
    readable = render(Prediction("t9", "toy", 1, {"a": 1}, "NO", 0.5, "", at, latency_ms=1.0))
    refuse(services, readable, offset=4)
    refuse(services, "still unreadable")
    refuse(services, "of another source", kind="other")
    dry = replay(services, dry_run=True)
    assert (dry.tried, dry.replayed, dry.still_dead, dry.dry_run) == (2, 1, 1, True)
    assert (services.index.count(DEAD_LETTERS.name), services.index.fields(RAW.name)) == (3, None)
    report = replay(services)
    assert (report.tried, report.replayed, report.still_dead, report.others) == (2, 1, 1, 1)
    assert services.index.count(DEAD_LETTERS.name) == 2
    message = next(services.index.scan(MESSAGE.name)).body
    assert (message["transaction_id"], message["source_offset"]) == ("t9", 4)


def test_replaying_a_line_that_was_collected_writes_no_duplicate(services: FakeServices) -> None:
    send(services, "t1")
    line = services.api_logs.read(0, 1).lines[0]
    refuse(services, line)
    assert replay(services).replayed == 1
    assert services.index.count(MESSAGE.name) == 1


def test_letters_that_are_still_unreadable_remain(services: FakeServices) -> None:
    class Source:
        def check(self) -> str:
            return ""

        def read(self, offset: int, limit: int) -> LogBatch:
            lines = ("unreadable",)[offset : offset + limit]
            return LogBatch(offset, lines, offset + len(lines))

    services.api_logs = Source()  # type: ignore[assignment]
    ingest_logs(services, limit=10)
    before = services.index.documents[DEAD_LETTERS.name].copy()
    for _ in range(2):
        assert replay(services).still_dead == 1
    assert services.index.documents[DEAD_LETTERS.name] == before
