"""Failures of Elasticsearch: no document is lost or stored twice, and every wait is bounded."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from support.fake_es import FakeEs
from support.fake_es_http import Fault
from support.fake_es_store import error
from vigie import catalogue
from vigie.adapters.elastic.errors import DiskBlockedError
from vigie.adapters.elastic.index import EsIndex
from vigie.adapters.elastic.retry import Patience
from vigie.anomaly.detectors.registry import ISOLATION_FOREST
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.collection.documents import DEFAULT_PATTERN
from vigie.collection.index_lines import api_log_replay
from vigie.collection.index_specs import RAW
from vigie.collection.ingest_logs import ingest_logs
from vigie.dead_letters.letters import API_LOG, DEAD_LETTERS, is_truncated, original_bytes
from vigie.dead_letters.replay import replay_dead_letters
from vigie.errors import DataError, PermanentError, SettingsError, TransientError
from vigie.records import Document, IndexOutcome, IndexSpec, JobResult, LogBatch, Message
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector

SPEC = IndexSpec("logs", {"@timestamp": "date", "n": "integer", "text": "text"})
BUSY = error(429, "es_rejected_execution_exception", "rejected execution of bulk")
DISK = (
    "index [logs] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, "
    "index has read-only-allow-delete block];"
)


class Sleeper:
    """A sleep function, with a clock that advances only when the function is called."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)

    def now(self) -> float:
        return sum(self.slept)


def documents(n: int, first: int = 0) -> list[Document]:
    return [Document(f"d{i:04}", {"n": i}) for i in range(first, first + n)]


@contextmanager
def opened(es: FakeEs, sleeper: Sleeper | None = None, **changes: Any) -> Iterator[EsIndex]:
    sleeper = sleeper or Sleeper()
    patience = Patience(sleep=sleeper, clock=sleeper.now, jitter=lambda: random.random())
    index = EsIndex(es.url, patience=patience, **changes)
    index.ensure(SPEC)
    yield index
    index.close()


def accepted(es: FakeEs) -> list[str]:
    return sorted(es.store.documents["logs"])


def test_a_busy_server_is_retried_with_growing_jittered_waits() -> None:
    sleeper = Sleeper()
    with FakeEs() as es, opened(es, sleeper) as index:
        es.faults = [Fault(times=6, answer=BUSY)]
        assert index.create("logs", documents(10)) == IndexOutcome(10, 0)
    assert len(sleeper.slept) == 6
    for attempt, gap in enumerate(sleeper.slept):
        step = 0.25 * 2**attempt
        assert step / 2 <= gap <= step
    assert len({gap / 2**i for i, gap in enumerate(sleeper.slept)}) == 6


def test_only_the_rejected_items_are_sent_again() -> None:
    def refuse(key: str) -> tuple[int, str, str] | None:
        busy = int(key[1:]) % 5 < 2  # 40 %
        return (429, "es_rejected_execution_exception", "queue is full") if busy else None

    with FakeEs() as es, opened(es) as index:
        es.faults = [Fault(times=3, refuse=refuse)]
        assert index.create("logs", documents(100)) == IndexOutcome(100, 0)
        sent = [bulk.ids for bulk in es.bulks()]
        assert [len(ids) for ids in sent] == [100, 40, 40, 40]
        assert set(sent[1]) == set(sent[3]) == {d.id for d in documents(100) if refuse(d.id)}


def test_each_run_reports_its_own_waits(services: FakeServices) -> None:
    sleeper = Sleeper()
    services.api_logs = NoLogs()  # type: ignore[assignment]
    deploy_detector(services, ISOLATION_FOREST)
    services.stream.create_topic("t")
    services.stream.produce("t", [Message(b"unit accepted request 1")])
    with FakeEs() as es, opened(es, sleeper) as index:
        services.index = index  # type: ignore[assignment]
        es.faults = [Fault(times=3, answer=BUSY)]
        report = score_stream(
            services, topic="t", group="g", index="scored", detector=ISOLATION_FOREST
        )
        assert backoff(report) == sleeper.now() > 0
        assert backoff(ingest_logs(services, limit=1)) == 0
        es.faults = [Fault("/_count", times=2, answer=error(503, "unavailable", "no shard"))]
        before = sleeper.now()
        assert backoff(ingest_logs(services, limit=1)) == sleeper.now() - before > 0
        assert backoff(ingest_logs(services, limit=1)) == 0


def backoff(report: JobResult) -> float:
    (value,) = (s.value for s in report.metrics if s.name == catalogue.ES_BACKOFF)
    return value


class NoLogs:
    """An empty API log."""

    def check(self) -> str:
        return "nothing"

    def read(self, offset: int, limit: int) -> LogBatch:
        return LogBatch(offset, (), offset)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_stays_busy_is_a_transient_error_after_the_limit(status: int) -> None:
    sleeper = Sleeper()
    with FakeEs() as es, opened(es, sleeper) as index:
        es.faults = [Fault(times=1000, answer=error(status, "busy", "later"))]
        with pytest.raises(TransientError, match="busy"):
            index.create("logs", documents(3))
    assert 60 < sum(sleeper.slept) <= 90


def test_a_full_disk_is_distinguished_from_a_busy_server() -> None:
    sleeper = Sleeper()
    with FakeEs() as es, opened(es, sleeper) as index:
        es.faults = [Fault(times=1000, refuse=lambda key: (429, "cluster_block_exception", DISK))]
        with pytest.raises(DiskBlockedError, match="free disk space"):
            index.create("logs", documents(3))
        assert 30 < sum(sleeper.slept) <= 60
        es.faults = [Fault(times=2, answer=error(429, "cluster_block_exception", DISK))]
        assert index.create("logs", documents(3)) == IndexOutcome(3, 0)


def test_a_malformed_document_does_not_affect_the_others() -> None:
    bad = Document("bad", {"n": "sixty"})
    with FakeEs() as es, opened(es) as index:
        outcome = index.create("logs", [*documents(250), bad, *documents(249, first=250)])
        assert (outcome.created, outcome.already_there) == (499, 0)
        [rejection] = outcome.rejected
        assert (rejection.id, rejection.kind) == ("bad", "document_parsing_exception")
        assert "bad" not in accepted(es)


def test_documents_stored_before_a_timeout_are_counted_as_already_there() -> None:
    with FakeEs() as es, opened(es, request_s=0.3) as index:
        es.faults = [Fault(delay_s=0.9)]
        assert index.create("logs", documents(5)) == IndexOutcome(0, 5)
        assert accepted(es) == [d.id for d in documents(5)]


@pytest.mark.parametrize("seed", range(8))
def test_a_truncated_response_is_retried(seed: int) -> None:
    cut_at = random.Random(seed).randrange(1500)
    with FakeEs() as es, opened(es) as index:
        es.faults = [Fault(cut_at=cut_at)]
        assert index.create("logs", documents(50)) == IndexOutcome(0, 50)
        assert len(accepted(es)) == 50


def test_a_response_without_items_is_retried() -> None:
    with FakeEs() as es, opened(es) as index:
        es.faults = [Fault(answer=(200, {"errors": False, "items": []}))]
        assert index.create("logs", documents(5)) == IndexOutcome(5, 0)
        es.faults = [Fault(answer=(200, None))]
        assert index.create("logs", documents(5)) == IndexOutcome(0, 5)


def test_a_request_that_is_too_large_is_halved() -> None:
    with FakeEs(max_bytes=4000) as es, opened(es) as index:
        assert index.create("logs", documents(500)) == IndexOutcome(500, 0)
        assert len(accepted(es)) == 500
        taken = [bulk for bulk in es.bulks() if bulk.size <= 4000]
        assert [key for bulk in taken for key in bulk.ids] == [d.id for d in documents(500)]


def test_a_single_document_that_is_too_large_is_rejected() -> None:
    huge = Document("huge", {"text": "x" * 5000})
    with FakeEs(max_bytes=4000) as es, opened(es) as index:
        outcome = index.create("logs", [*documents(3), huge, *documents(3, first=3)])
        assert (outcome.created, [r.id for r in outcome.rejected]) == (6, ["huge"])
        assert outcome.rejected[0].kind == "content_too_long_exception"


def test_requests_stay_below_five_mebibytes() -> None:
    text = "x" * 60_000
    with FakeEs() as es, opened(es) as index:
        index.create("logs", [Document(str(i), {"text": text}) for i in range(300)])
        assert len(es.bulks()) == 4
        assert max(bulk.size for bulk in es.bulks()) <= 5 << 20


@pytest.mark.parametrize(
    ("status", "kind", "ours"),
    [
        (401, "security_exception", SettingsError),
        (403, "security_exception", SettingsError),
        (404, "index_not_found_exception", DataError),
        (403, "cluster_block_exception", PermanentError),
        (400, "illegal_argument_exception", DataError),
    ],
)
def test_permanent_errors_are_not_retried(status: int, kind: str, ours: type[Exception]) -> None:
    sleeper = Sleeper()
    with FakeEs() as es, opened(es, sleeper) as index:
        es.faults = [Fault(answer=error(status, kind, "no"))]
        with pytest.raises(ours, match=es.url):
            index.create("logs", documents(3))
        if status != 400:
            es.faults = [Fault(refuse=lambda key: (status, kind, "no"))]
            with pytest.raises(ours):
                index.create("logs", documents(3))
    assert sleeper.slept == []


def test_a_server_that_is_down_at_start_raises_within_seconds() -> None:
    with FakeEs() as es:
        pass
    index = EsIndex(es.url)
    began = time.monotonic()
    with pytest.raises(TransientError, match=f"127.0.0.1:{es.port}"):
        index.count("logs")
    assert time.monotonic() - began < 3
    index.close()


def test_requests_are_retried_until_a_server_has_restarted() -> None:
    with FakeEs() as es:
        index = EsIndex(es.url, patience=Patience(longest_s=0.5, total_s=20))
        index.ensure(SPEC)
    with ExitStack() as stack:

        def restart() -> None:
            again = FakeEs(port=es.port)
            again.store = es.store
            stack.enter_context(again)

        starter = threading.Timer(1.0, restart)
        starter.start()
        began = time.monotonic()
        assert index.create("logs", documents(20)) == IndexOutcome(20, 0)
        assert time.monotonic() - began > 0.9  # the server starts after one second
        index.close()
        starter.join()


def test_a_write_does_not_recreate_a_deleted_index() -> None:
    with FakeEs() as es, opened(es) as index:
        es.store.drop("logs")
        with pytest.raises(DataError, match="logs"):
            index.create("logs", documents(2))
        template = es.store.templates["vigie-logs"]
    assert template["allow_auto_create"] is False
    assert template["template"]["mappings"]["dynamic"] == "strict"


@pytest.mark.parametrize("name", ["*", "logs*", "_all", "a,b", "", "..", "-logs", "Logs", "a/b"])
def test_wildcards_and_lists_are_refused_everywhere(name: str) -> None:
    with FakeEs() as es, opened(es) as index:
        index.create("logs", documents(2))
        calls: Sequence[Callable[[], object]] = (
            lambda: index.drop(name),
            lambda: index.delete(name, ["d0000"]),
            lambda: index.create(name, documents(1)),
            lambda: index.count(name),
            lambda: list(index.scan(name)),
            lambda: index.fields(name),
            lambda: index.get(name, "d0000"),
            lambda: index.ensure(IndexSpec(name, {"a": "text"})),
        )
        before = len(es.seen)
        for call in calls:
            with pytest.raises(DataError, match="name of one index"):
                call()
        assert len(es.seen) == before


def test_a_scan_continues_after_its_point_in_time_expired() -> None:
    gone = error(404, "search_context_missing_exception", "No search context found for id [1]")
    with FakeEs() as es, opened(es, page=10) as index:
        wanted = [
            Document(d.id, {**d.body, "@timestamp": "2026-11-21T12:00:00Z"}) for d in documents(35)
        ]
        index.create("logs", wanted)
        found = index.scan("logs")
        first = [next(found) for _ in range(12)]
        es.faults = [Fault(path="/_search", answer=gone)]
        assert [*first, *found] == wanted
        assert len(es.store.points) == 1  # the expired one


def test_a_scan_that_is_closed_early_closes_its_point_in_time() -> None:
    with FakeEs() as es, opened(es, page=10) as index:
        index.create("logs", documents(30))
        found = index.scan("logs")
        next(found)
        found.close()  # type: ignore[attr-defined]
        assert es.store.points == {}


def test_another_kind_of_server_is_a_settings_error() -> None:
    with FakeEs(product="OpenSearch") as es:
        index = EsIndex(es.url)
        with pytest.raises(SettingsError, match="not Elasticsearch"):
            index.ensure(SPEC)
        index.close()


@pytest.mark.parametrize(
    ("kind", "reason", "advice"),
    [
        ("index_closed_exception", "closed", "_open"),
        ("illegal_argument_exception", "pipeline with id [gone] does not exist", "pipeline"),
        ("illegal_argument_exception", "no write index is defined for alias [logs].", "alias"),
    ],
)
def test_an_index_that_accepts_no_document_is_an_error(kind: str, reason: str, advice: str) -> None:
    """If it were a rejection, every record of the stream would become a dead letter."""
    with FakeEs() as es, opened(es) as index:
        es.faults = [Fault(refuse=lambda key: (400, kind, reason))]
        with pytest.raises(PermanentError, match=advice) as caught:
            index.create("logs", documents(10))
        assert not isinstance(caught.value, DataError)
        assert index.create("logs", documents(10)) == IndexOutcome(10, 0)


def test_an_illegal_argument_of_one_document_is_a_rejection() -> None:
    with FakeEs() as es, opened(es) as index:
        refusal = (400, "illegal_argument_exception", "the text 'pipeline with id' is no number")
        es.faults = [Fault(refuse=lambda key: refusal if key == "d0003" else None)]
        outcome = index.create("logs", documents(10))
        assert (outcome.created, [r.id for r in outcome.rejected]) == (9, ["d0003"])


LARGE = 100_000


@dataclass(frozen=True)
class GivenLines:
    """An API log with the given lines."""

    lines: tuple[str, ...]

    def check(self) -> str:
        return "lines"

    def read(self, offset: int, limit: int) -> LogBatch:
        lines = self.lines[offset : offset + limit]
        return LogBatch(offset, lines, offset + len(lines), len(self.lines))


@pytest.fixture
def narrow(services: FakeServices) -> Iterator[FakeServices]:
    """Services on an Elasticsearch whose proxy accepts requests of up to 64 KiB."""
    with FakeEs(max_bytes=64 << 10) as es:
        index = EsIndex(es.url)
        services.index = index  # type: ignore[assignment]
        yield services
        index.close()


def letters(services: FakeServices) -> list[dict[str, Any]]:
    return [dict(document.body) for document in services.index.scan(DEAD_LETTERS.name)]


def is_start_of(letter: dict[str, Any], line: bytes) -> bool:
    kept = original_bytes(letter)
    whole = {"original_length": len(line), "sha256": hashlib.sha256(line).hexdigest()}
    return (
        0 < len(kept) < len(line)
        and line.startswith(kept)
        and whole.items() <= letter["extra"].items()
    )


def test_a_line_that_is_too_large_for_the_server_does_not_block_the_collection(
    narrow: FakeServices,
) -> None:
    """The dead letter contains the line's start, and the length and digest of the whole line."""
    long = "2026-01-01T00:00:00Z - vigie.api - INFO - [t1] API Call - GET /health - " + "x" * LARGE
    narrow.api_logs = GivenLines(("first", long, "last"))  # type: ignore[assignment]
    report = ingest_logs(narrow, limit=10)
    assert (report.offset, report.lag) == (3, 0)
    raw = report.counts[RAW.name]
    assert (raw.read, raw.indexed, raw.dead_lettered) == (3, 2, 1)
    (letter,) = (each for each in letters(narrow) if is_truncated(each))
    assert is_start_of(letter, long.encode())
    handler = api_log_replay(narrow, filter_pattern=DEFAULT_PATTERN, raw_index=RAW.name)
    replayed = replay_dead_letters(narrow.index, {API_LOG: handler})
    assert (replayed.others, replayed.replayed) == (1, 0)
    assert is_start_of(letter, long.encode())


def test_a_record_that_is_too_large_for_the_server_does_not_block_the_stream(
    narrow: FakeServices,
) -> None:
    deploy_detector(narrow, ISOLATION_FOREST)
    lines = [b"gateway accepted request", b"x" * LARGE, b"gateway accepted request"]
    narrow.stream.create_topic("lines", 1)
    narrow.stream.produce("lines", [Message(line) for line in lines])
    report = score_stream(
        narrow, topic="lines", group="g", index="scored", detector=ISOLATION_FOREST
    )
    assert (report.read, report.indexed, report.dead_lettered) == (3, 2, 1)
    assert narrow.stream.lag("g", "lines") == 0
    (letter,) = letters(narrow)
    assert is_start_of(letter, lines[1])
