"""Scoring batches of one consumer of the stream: used by draining and by following it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.cache import GenerationCache
from vigie.anomaly.scoring.champion_detector import ChampionDetector
from vigie.anomaly.scoring.dead_letter_topic import DeadRecord, bury_copies
from vigie.anomaly.scoring.pending_incidents import mark_dirty
from vigie.anomaly.scoring.result import Counts
from vigie.anomaly.scoring.score_records import RecordScorer, ScoredBatch, document_id
from vigie.anomaly.scoring.scorer import CachedScorer, Scored
from vigie.anomaly.scoring.threshold import DynamicThreshold, pack_state, unpack_state
from vigie.anomaly.scoring.welford import Welford
from vigie.dead_letters.letters import STREAM, dead_letter, kept_headers
from vigie.dead_letters.write import write_letters
from vigie.encoding import iso_utc
from vigie.faults import crash_point
from vigie.records import Document, Position, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import Services, StreamConsumer


@dataclass
class ScoreRun:
    """What scores and stores batches of one consumer: thresholds by partition, counts, caches.

    Parameters
    ----------
    services, consumer, champion
        Where documents go, where lines come from, what scores them.
    rule
        The threshold before anything was seen.
    topic, index
        What is read, where the documents go.
    dead_letter_topic
        Where a copy of each dead letter goes, at least once; None: only to the index.
    counts
        Added to; only what was committed counts.
    """

    services: Services
    consumer: StreamConsumer
    champion: ChampionDetector
    rule: DynamicThreshold
    topic: str
    index: str
    dead_letter_topic: str | None = None
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        cache: GenerationCache[str, Scored] = GenerationCache()
        scorer = CachedScorer(self.champion.detector, cache)
        self.scorer = RecordScorer(scorer, self.champion.version, self.services.now)
        self.restore()

    def restore(self) -> None:
        """Take the thresholds' states from what is committed."""
        self.assignment = self.consumer.assignment
        self.thresholds = {
            partition: dataclasses.replace(self.rule, state=self._restored(position))
            for partition, position in self.consumer.committed().items()
        }

    def process(self, records: Sequence[StreamRecord]) -> None:
        """Score, store, note, commit: in this order; after an error the same call repeats it."""
        batch = self.scorer.score(records, self.thresholds)
        crash_point("before_bulk")
        stored = self._store(batch)
        crash_point("after_bulk")
        self._note_anomalies(batch)
        self.consumer.commit(self._positions(records, batch.thresholds))
        crash_point("after_commit")
        self.thresholds = batch.thresholds
        self.counts.add(stored)

    def _restored(self, position: Position) -> Welford:
        name = self.champion.detector.name
        return unpack_state(position.metadata, self.champion.version, name) or Welford()

    def _positions(
        self, records: Sequence[StreamRecord], thresholds: Mapping[int, DynamicThreshold]
    ) -> dict[int, Position]:
        ends = {record.partition: record.offset + 1 for record in records}
        name, version = self.champion.detector.name, self.champion.version
        return {
            partition: Position(end, pack_state(thresholds[partition].state, version, name))
            for partition, end in ends.items()
        }

    def _store(self, batch: ScoredBatch) -> Counts:
        outcome = self.services.index.create(self.index, batch.documents)
        by_id = {d.id: r for d, r in zip(batch.documents, batch.records, strict=True)}
        refused = [(by_id[item.id], item.kind, item.reason) for item in outcome.rejected]
        poison = [
            (record, "not_a_line", f"{len(record.value)} bytes that are no text")
            for record in batch.poison
        ]
        if refused or poison:
            self._bury(refused + poison)
        return Counts(
            read=len(batch.records) + len(poison),
            indexed=outcome.created,
            already_there=outcome.already_there,
            dead_lettered=len(refused) + len(poison),
            anomalies=batch.count("anomaly"),
            warming_up=batch.count("warming_up"),
            unscored=batch.count("unscored"),
        )

    def _bury(self, dead: Sequence[DeadRecord]) -> None:
        letters = [self._dead_letter(*each) for each in dead]
        write_letters(self.services.index, letters)
        if self.dead_letter_topic is not None:
            bury_copies(self.services.stream, self.dead_letter_topic, dead)

    def _dead_letter(self, record: StreamRecord, kind: str, reason: str) -> Document:
        letter = dead_letter(
            record.value,
            source_kind=STREAM,
            source=record.headers.get("source", record.topic),
            offset=record.offset,
            partition=record.partition,
            target_index=self.index,
            error_type=kind,
            reason=reason,
            at=self.services.now(),
            extra={
                "topic": record.topic,
                "timestamp": iso_utc(record.timestamp),
                "detector": self.champion.detector.name,
                **kept_headers(record.headers),
            },
        )
        return Document(document_id(record), letter.body)

    def _note_anomalies(self, batch: ScoredBatch) -> None:
        found: Mapping[int, str] = batch.first_anomalies()
        for partition, since in found.items():
            mark_dirty(self.services, self.index, self.topic, partition, since)
