"""Log collection on a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.prefixed_index import PrefixedIndex
from vigie.anomaly.detectors.registry import ISOLATION_FOREST
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.collection.check_prerequisites import check_indices
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.collection.ingest_logs import SOURCE, ingest_logs
from vigie.collection.maintain_indices import deduplicate_indices, expire_documents
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.records import Document, Message, Prediction
from vigie.roles import LogIndex
from vigie.state_keys import collector_cursor
from vigie.testing import FakeServices
from vigie.testing.contracts import replays
from vigie.testing.detectors import deploy_detector

N = 250


@pytest.fixture
def collected(services: FakeServices, es_index: PrefixedIndex) -> FakeServices:
    """Return services on a real log index with collected predictions."""
    services.index = es_index  # type: ignore[assignment]
    for i in range(N):
        services.clock.advance(seconds=1)
        at = services.now()
        services.predictions.add(
            Prediction(f"t{i}", "toy", 1, {"a": i}, "NO", 0.5, "\x00\udcff", at, latency_ms=1.0)
        )
    ingest_logs(services, limit=1000)
    return services


def test_every_prediction_has_one_document_in_each_index(collected: FakeServices) -> None:
    counts = {name: collected.index.count(name) for name in (RAW.name, MESSAGE.name, PERFS.name)}
    assert set(counts.values()) == {N}
    assert collected.index.count(DEAD_LETTERS.name) == 0
    assert check_indices(collected).is_ok


def test_a_lost_cursor_writes_no_duplicates(collected: FakeServices) -> None:
    collected.state.values.pop(collector_cursor(SOURCE))
    report = ingest_logs(collected, limit=1000)
    assert {(c.indexed, c.already_there) for c in report.counts.values()} == {(0, N)}
    assert deduplicate_indices(collected).removed == 0


def test_duplicates_of_other_programs_are_removed(collected: FakeServices) -> None:
    [first, *_] = collected.index.scan(MESSAGE.name)
    collected.index.create(MESSAGE.name, [Document("a copy", first.body)])
    assert deduplicate_indices(collected).removed == 1
    assert collected.index.count(MESSAGE.name) == N


def test_old_documents_expire(collected: FakeServices) -> None:
    collected.clock.advance(days=2, seconds=-100)
    report = expire_documents(collected, indices=[MESSAGE.name], days=2)
    assert report.deleted[MESSAGE.name] == N - 101
    assert collected.index.count(MESSAGE.name) == 101


@pytest.mark.parametrize("check", replays.CHECKS, ids=lambda check: check.__name__)
def test_replay(
    check: Callable[[FakeServices, LogIndex], None],
    services: FakeServices,
    es_index: PrefixedIndex,
) -> None:
    check(services, es_index)


def test_long_headers_do_not_block_the_stream(
    services: FakeServices, es_index: PrefixedIndex
) -> None:
    """Elasticsearch refuses documents with a key of 40 KB, so a dead letter truncates headers."""
    services.index = es_index  # type: ignore[assignment]
    deploy_detector(services, ISOLATION_FOREST)
    services.stream.create_topic("t")
    odd = {"": "", "\x00": "\udcff", "k" * 40_000: "v" * 40_000, "source": "s" * 40_000}
    foreign = [odd, {"original_length": "abc"}, {f"header {n}": "x" for n in range(5000)}]
    messages = [Message(value, headers) for headers in foreign for value in (b"good line", b"")]
    services.stream.produce("t", messages)
    report = score_stream(services, topic="t", group="g", index="scored", detector=ISOLATION_FOREST)
    assert (report.indexed, report.dead_lettered, report.lag) == (3, 3, 0)
    assert es_index.count(DEAD_LETTERS.name) == 3
