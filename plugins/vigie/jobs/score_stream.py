"""Score the lines of the stream and index them."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.detector import LSTM_AUTOENCODER
from vigie.anomaly.documents import anomaly_index
from vigie.anomaly.scorer import CachedScorer, Scored
from vigie.anomaly.threshold import FACTOR, DynamicThreshold, pack_state, unpack_state
from vigie.anomaly.welford import Welford
from vigie.errors import DataError, NotEnoughDataError
from vigie.faults import crash_point
from vigie.jobs.champion_detector import ChampionDetector, champion_detector
from vigie.jobs.dirty_windows import mark_dirty
from vigie.jobs.score_metrics import Counts, ScoreReport, score_report
from vigie.jobs.score_records import RecordScorer, ScoredBatch, document_id
from vigie.logs.dead_letters import dead_letter
from vigie.logs.generations import GenerationCache
from vigie.logs.index_specs import DEAD_LETTERS
from vigie.records import Document, Position, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import Services, StreamConsumer

log = logging.getLogger(__name__)

MAX_LINES = 1_000_000


def score_stream(
    services: Services,
    *,
    topic: str,
    group: str,
    index: str,
    detector: str = LSTM_AUTOENCODER,
    factor: float = FACTOR,
    threshold: float | None = None,
    update: str = "all",
    max_lines: int = MAX_LINES,
    batch_size: int = 1000,
    partitions: Sequence[int] | None = None,
) -> ScoreReport:
    """Drain the partitions: each line becomes a document of ``index`` or a dead letter, once.

    An offset moves only after its lines are stored, and carries the threshold's state. After a
    crash at any point a rerun repeats at most one batch, from the state before it: the same
    documents, the same thresholds.

    Parameters
    ----------
    services
        ``stream``, ``index``, ``state``, ``deployments`` and ``bundles`` are used.
    topic, group, partitions
        What to read, as whom; None: every partition.
    index
        Where the documents go.
    detector
        Whose champion scores. Scores of another version start a new state: they are not comparable.
    factor, threshold, update
        See :class:`vigie.anomaly.threshold.DynamicThreshold`.
    max_lines, batch_size
        Lines at most, and lines a batch.

    Raises
    ------
    NotEnoughDataError
        No such topic, or no detector is deployed.
    ConflictError
        Another live member owns a partition.
    """
    if batch_size < 1 or max_lines < 1:
        raise DataError(f"batch and max_lines must be at least 1, not {batch_size}, {max_lines}")
    rule = DynamicThreshold(factor, threshold, update)
    if not services.stream.partitions(topic):
        raise NotEnoughDataError(f"there is no topic {topic!r}; create it: vigie stream topic")
    champion = champion_detector(services, detector)
    for spec in (anomaly_index(index), DEAD_LETTERS):
        services.index.ensure(spec)
    started = time.monotonic()
    with services.stream.consumer(group, topic, partitions) as consumer:
        run = _Run(services, consumer, champion, rule, topic, index)
        run.drain(max_lines, batch_size)
    services.stream.trim(topic)  # what every group has committed: the log does not grow for ever
    return score_report(
        run.counts,
        run.thresholds,
        lag=services.stream.lag(group, topic),
        topic=topic,
        group=group,
        index=index,
        detector=detector,
        model_version=champion.version,
        seconds=time.monotonic() - started,
    )


@dataclass
class _Run:
    """The state of one draining: thresholds by partition, counts, caches."""

    services: Services
    consumer: StreamConsumer
    champion: ChampionDetector
    rule: DynamicThreshold
    topic: str
    index: str
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        cache: GenerationCache[str, Scored] = GenerationCache()
        scorer = CachedScorer(self.champion.detector, cache)
        self.scorer = RecordScorer(scorer, self.champion.version, self.services.now)
        self.thresholds = {
            partition: dataclasses.replace(self.rule, state=self._restored(position))
            for partition, position in self.consumer.committed().items()
        }

    def drain(self, max_lines: int, batch_size: int) -> None:
        while self.counts.read < max_lines:
            records = self.consumer.poll(min(batch_size, max_lines - self.counts.read))
            if not records:
                return
            self.process(records)

    def process(self, records: Sequence[StreamRecord]) -> None:
        """Score, store, note, commit: in this order."""
        batch = self.scorer.score(records, self.thresholds)
        crash_point("before_bulk")
        self._store(batch)
        crash_point("after_bulk")
        self._note_anomalies(batch)
        self.thresholds = batch.thresholds
        self.consumer.commit(self._positions(records))
        self.counts.read += len(records)
        self.counts.anomalies += batch.count("anomaly")
        self.counts.warming_up += batch.count("warming_up")
        self.counts.unscored += batch.count("unscored")

    def _restored(self, position: Position) -> Welford:
        name = self.champion.detector.name
        return unpack_state(position.metadata, self.champion.version, name) or Welford()

    def _positions(self, records: Sequence[StreamRecord]) -> dict[int, Position]:
        ends = {record.partition: record.offset + 1 for record in records}
        name, version = self.champion.detector.name, self.champion.version
        return {
            partition: Position(end, pack_state(self.thresholds[partition].state, version, name))
            for partition, end in ends.items()
        }

    def _store(self, batch: ScoredBatch) -> None:
        outcome = self.services.index.create(self.index, batch.documents)
        self.counts.indexed += outcome.created
        self.counts.already_there += outcome.already_there
        by_id = {d.id: r for d, r in zip(batch.documents, batch.records, strict=True)}
        refused = [
            self._dead_letter(by_id[item.id], item.kind, item.reason) for item in outcome.rejected
        ]
        poison = [
            self._dead_letter(record, "not_a_line", f"{len(record.value)} bytes that are no text")
            for record in batch.poison
        ]
        if refused or poison:
            self._bury(refused + poison)

    def _bury(self, letters: Sequence[Document]) -> None:
        outcome = self.services.index.create(DEAD_LETTERS.name, letters)
        if outcome.rejected:
            first = outcome.rejected[0]
            raise DataError(f"a dead letter was refused ({first.kind}): {first.reason}")
        self.counts.dead_lettered += len(letters)
        log.warning("%d lines went to %s", len(letters), DEAD_LETTERS.name)

    def _dead_letter(self, record: StreamRecord, kind: str, reason: str) -> Document:
        letter = dead_letter(
            record.value,
            source_kind="stream",
            source=record.headers.get("source", record.topic),
            offset=record.offset,
            partition=record.partition,
            target_index=self.index,
            error_type=kind,
            reason=reason,
            at=self.services.now(),
            extra={"topic": record.topic, "headers": dict(record.headers)},
        )
        return Document(document_id(record), letter.body)

    def _note_anomalies(self, batch: ScoredBatch) -> None:
        found: Mapping[int, str] = batch.first_anomalies()
        for partition, since in found.items():
            mark_dirty(self.services, self.index, self.topic, partition, since)
