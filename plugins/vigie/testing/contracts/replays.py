"""The contract of replay: stream records that a log index refused are indexed later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vigie.anomaly.detectors.registry import ISOLATION_FOREST
from vigie.anomaly.scoring.replay_stream_letters import stream_replay
from vigie.anomaly.scoring.result import ScoreResult
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.dead_letters.letters import DEAD_LETTERS, STREAM
from vigie.dead_letters.replay import ReplayResult, replay_dead_letters
from vigie.records import Document, IndexOutcome, Message, Rejection
from vigie.roles import LogIndex
from vigie.testing.contracts import Contract
from vigie.testing.detectors import deploy_detector
from vigie.testing.services import FakeServices

CHECKS = Contract()
TOPIC, INDEX = "logs", "scored"
BAD = "2026-11-21T09:00:00Z unit broke 3 of 4"


class Refusing:
    """A log index that refuses some lines until ``is_repaired`` is set."""

    def __init__(self, index: LogIndex) -> None:
        self.index = index
        self.is_repaired = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        bad = [d for d in documents if index == INDEX and d.body["message"] == BAD]
        if self.is_repaired or not bad:
            return self.index.create(index, documents)
        done = self.index.create(index, [d for d in documents if d not in bad])
        refused = tuple(Rejection(d.id, "document_parsing_exception", "no") for d in bad)
        return IndexOutcome(done.created, done.already_there, refused)


def dead_lettered(services: FakeServices, index: LogIndex) -> Refusing:
    """Score a valid line, lines that the index refuses and a value that is not a line."""
    services.index = refusing = Refusing(index)  # type: ignore[assignment]
    deploy_detector(services, ISOLATION_FOREST)
    services.stream.create_topic(TOPIC)
    ids = [{"line_id": f"{n:064x}", "source": f"{n}.log"} for n in range(2)]
    messages = [Message(b"unit accepted request 1"), Message(b"\x00\x01"), Message(BAD.encode())]
    messages += [Message(BAD.encode(), headers) for headers in ids]
    services.stream.produce(TOPIC, messages)
    result = score(services)
    assert (result.indexed, result.dead_lettered) == (1, 4)
    return refusing


def score(services: FakeServices) -> ScoreResult:
    return score_stream(
        services, topic=TOPIC, group="scorer", index=INDEX, detector=ISOLATION_FOREST
    )


def replay(services: FakeServices, **options: Any) -> ReplayResult:
    handlers = {STREAM: stream_replay(services)}
    return replay_dead_letters(services.index, handlers, **options)


def counts(result: ReplayResult) -> tuple[int, int, int, int]:
    return result.tried, result.by_kind[STREAM], result.replayed, result.still_dead


@CHECKS
def a_line_is_indexed_with_its_original_id(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index).is_repaired = True
    before = {letter.id: letter for letter in index.scan(DEAD_LETTERS.name)}
    state = services.stream.positions.copy()
    services.clock.advance(days=3)
    assert counts(replay(services)) == (4, 4, 3, 1)
    found = {d.id: d.body for d in index.scan(INDEX) if d.body["message"] == BAD}
    assert found.keys() <= before.keys()
    assert len(found) == 3
    assert {body["source"] for body in found.values()} == {TOPIC, "0.log", "1.log"}
    for key, body in found.items():
        assert (body["offset"], body["topic"]) == (before[key].body["source_offset"], TOPIC)
        assert (body["status"], body["is_anomaly"]) == ("warming_up", None)
        assert (body["detector"], body["clock_skew"]) == (ISOLATION_FOREST, False)
        assert body["@timestamp"] == "2026-11-21T09:00:00.000000Z"
        assert body["anomaly_score"] is not None
    assert [d.body["error_type"] for d in index.scan(DEAD_LETTERS.name)] == ["not_a_line"]
    assert services.stream.positions == state, "a replay must not update thresholds"


@CHECKS
def a_repeated_replay_writes_no_second_document(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index).is_repaired = True
    letters = list(index.scan(DEAD_LETTERS.name))
    replay(services)
    index.create(DEAD_LETTERS.name, letters)  # as after a crash before their deletion
    assert counts(replay(services)) == (4, 4, 3, 1)
    assert index.count(INDEX) == 4


@CHECKS
def dead_letters_that_are_refused_again_remain(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index)
    before = list(index.scan(DEAD_LETTERS.name))
    assert counts(replay(services)) == (4, 4, 0, 4)
    assert list(index.scan(DEAD_LETTERS.name)) == before


@CHECKS
def a_dry_run_changes_nothing(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index).is_repaired = True
    assert counts(replay(services, dry_run=True)) == (4, 4, 3, 1)
    assert (index.count(INDEX), index.count(DEAD_LETTERS.name)) == (1, 4)


@CHECKS
def the_limit_selects_the_oldest_dead_letters(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index).is_repaired = True
    assert counts(replay(services, limit=2))[:2] == (2, 2)


@CHECKS
def without_a_detector_every_dead_letter_remains(services: FakeServices, index: LogIndex) -> None:
    dead_lettered(services, index).is_repaired = True
    services.deployments.rows.clear()
    assert counts(replay(services)) == (4, 4, 0, 4)
    assert index.count(DEAD_LETTERS.name) == 4
