"""Score the lines of the stream and index each line once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.anomaly.scoring.champion_detector import ChampionDetector, champion_detector
from vigie.anomaly.scoring.dead_letter_topic import DeadRecord, publish_copies
from vigie.anomaly.scoring.pending_incidents import mark_pending
from vigie.anomaly.scoring.result import ScoreCounts, ScoreResult, score_result
from vigie.anomaly.scoring.score_records import RecordScorer, ScoredBatch, document_id
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.stream_lag import skip_lost_lines
from vigie.anomaly.scoring.threshold import FACTOR, DynamicThreshold, pack_state, unpack_state
from vigie.anomaly.scoring.welford import Welford
from vigie.catalogue import ES_BACKOFF
from vigie.dead_letters.letters import DEAD_LETTERS, STREAM, dead_letter, kept_headers
from vigie.dead_letters.write import write_letters
from vigie.encoding import iso_utc
from vigie.errors import DataError, NotEnoughDataError
from vigie.faults import crash_point
from vigie.records import Document, Position, Sample, StreamRecord
from vigie.roles.stream import TAKEOVER_S

if TYPE_CHECKING:
    from vigie.roles import Services, StreamConsumer

MAX_LINES = 1_000_000


@dataclass
class StreamScorer:
    """Score batches of records and store their documents; cache scores between batches.

    Parameters
    ----------
    services
        ``index`` and ``state`` are written, and ``stream`` if there is a dead-letter topic.
    champion
        The deployed detector that scores the lines.
    rule
        Factor, fixed value and update rule of the threshold of each partition.
    topic, index
        The topic of the records and the index of their documents.
    dead_letter_topic
        Topic to which each dead letter that it accepts is copied at least once. None: no copies.
    """

    services: Services
    champion: ChampionDetector
    rule: DynamicThreshold
    topic: str
    index: str
    dead_letter_topic: str | None = None

    def __post_init__(self) -> None:
        detector, version = self.champion.detector, self.champion.version
        self.scorer = RecordScorer(detector, version, self.services.now)

    def drain(
        self,
        consumer: StreamConsumer,
        run: ScoreRun,
        *,
        max_lines: int,
        batch_size: int,
        max_batches: int = MAX_LINES,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Score and commit batches until the end of the records, a limit, or a requested stop.

        The threshold of each partition starts from its committed state.

        Parameters
        ----------
        consumer
            Consumer that holds the leases of the partitions.
        run
            Updated with the counts and thresholds of each committed batch; at the start, with the
            committed thresholds.
        max_lines, batch_size, max_batches
            Maximum number of lines in total, of lines per batch, and of batches.
        should_stop
            Checked before each batch.
        """
        run.thresholds |= {
            partition: dataclasses.replace(self.rule, state=self._restored(position))
            for partition, position in consumer.committed().items()
        }
        end, n_batches = run.counts.read + max_lines, 0
        while run.counts.read < end and n_batches < max_batches and not should_stop():
            records = consumer.poll(min(batch_size, end - run.counts.read))
            if not records:
                return
            n_batches, started = n_batches + 1, time.monotonic()
            run.uncommitted = len(records)
            self._process(consumer, run, records)
            run.uncommitted = 0
            run.longest_batch_s = max(run.longest_batch_s, time.monotonic() - started)

    def _process(
        self, consumer: StreamConsumer, run: ScoreRun, records: Sequence[StreamRecord]
    ) -> None:
        """Score and store a batch, mark its anomalies, then commit it; safe to repeat."""
        batch = self.scorer.score(records, run.thresholds)
        crash_point("before_bulk")
        stored = self._store(batch)
        crash_point("after_bulk")
        self._mark_anomalies(batch)
        consumer.commit(self._positions(records, batch.thresholds))
        crash_point("after_commit")
        run.thresholds = batch.thresholds
        run.counts += stored

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

    def _store(self, batch: ScoredBatch) -> ScoreCounts:
        outcome = self.services.index.create(self.index, batch.documents)
        by_id = {d.id: r for d, r in zip(batch.documents, batch.records, strict=True)}
        refused = [(by_id[item.id], item.kind, item.reason) for item in outcome.rejected]
        poison = [
            (record, "not_a_line", f"{len(record.value)} bytes that are not text")
            for record in batch.poison
        ]
        if refused or poison:
            self._write_dead_letters(refused + poison)
        return ScoreCounts(
            read=len(batch.records) + len(poison),
            indexed=outcome.created,
            already_there=outcome.already_there,
            dead_lettered=len(refused) + len(poison),
            anomalies=batch.count("anomaly"),
            warming_up=batch.count("warming_up"),
            unscored=batch.count("unscored"),
        )

    def _write_dead_letters(self, dead: Sequence[DeadRecord]) -> None:
        letters = [self._dead_letter(*each) for each in dead]
        write_letters(self.services.index, letters)
        if self.dead_letter_topic is not None:
            publish_copies(self.services.stream, self.dead_letter_topic, dead)

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

    def _mark_anomalies(self, batch: ScoredBatch) -> None:
        found: Mapping[int, str] = batch.first_anomalies()
        for partition, since in found.items():
            mark_pending(self.services.state, self.index, self.topic, partition, since)


@dataclass
class ScoreRun:
    """Counts and thresholds of the batches that were committed."""

    counts: ScoreCounts = field(default_factory=ScoreCounts)
    thresholds: dict[int, DynamicThreshold] = field(default_factory=dict)
    uncommitted: int = 0  # lines of the batch in progress
    longest_batch_s: float = 0.0


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
    dead_letter_topic: str | None = None,
    allow_gap: bool = False,
    lease_wait_s: float = TAKEOVER_S,
) -> ScoreResult:
    """Score the lines of partitions; write each as one document of ``index`` or one dead letter.

    A position is committed together with the state of the threshold, after the lines before it are
    stored. After a crash, a rerun repeats at most one batch and starts with the thresholds before
    that batch. Documents and thresholds are therefore the same as without the crash.

    Parameters
    ----------
    services
        ``stream``, ``index``, ``state``, ``deployments``, ``bundles`` and ``now`` are used.
    topic, group, partitions
        The topic, the group that reads it, and the partitions to read (None: all).
    index
        Index of the documents.
    detector
        Name of the detector; its champion scores. A new version starts a new threshold state,
        because the scores of different versions are not comparable.
    factor, threshold, update
        See :class:`vigie.anomaly.scoring.threshold.DynamicThreshold`.
    max_lines, batch_size
        Maximum number of lines, in total and per batch.
    dead_letter_topic
        Topic to which dead letters are copied. None: no copies.
    allow_gap
        Skip lines that retention deleted before they were read, and count them.
    lease_wait_s
        Seconds to wait for a partition that another worker or follower holds.

    Raises
    ------
    DataError
        An argument is invalid, or retention deleted lines before they were read and ``allow_gap``
        is False.
    NotEnoughDataError
        The topic does not exist, or no detector is deployed.
    ConflictError
        Another worker or follower still holds a lease after ``lease_wait_s``, or acquired a lease
        that this worker lost.
    """
    if batch_size < 1 or max_lines < 1:
        raise DataError(f"batch and max_lines must be at least 1, not {batch_size}, {max_lines}")
    rule = DynamicThreshold(factor, threshold, update)
    scorer = _scorer(services, detector, rule, topic, index, dead_letter_topic)
    started, run = time.monotonic(), ScoreRun()
    names = {"topic": topic, "group": group}
    leases: Any = {**names, "partitions": partitions, "lease_wait_s": lease_wait_s}
    lost = skip_lost_lines(services.stream, **leases) if allow_gap else 0
    with services.stream.consumer(group, topic, partitions, lease_wait_s) as consumer:
        scorer.drain(consumer, run, max_lines=max_lines, batch_size=batch_size)
    services.stream.trim(topic)  # limits the size of the embedded stream
    worker = min(run.thresholds, default=0)
    return score_result(
        run.counts,
        run.thresholds,
        lag=services.stream.lag(group, topic),
        lost=lost,
        **names,
        index=index,
        detector=detector,
        model_version=scorer.champion.version,
        seconds=time.monotonic() - started,
        worker=worker,
        more=[Sample(ES_BACKOFF, services.index.take_backoff_s(), {"worker": str(worker)})],
    )


def _scorer(
    services: Services,
    detector: str,
    rule: DynamicThreshold,
    topic: str,
    index: str,
    dead_letter_topic: str | None,
) -> StreamScorer:
    """Return a scorer for an existing topic; create missing indices."""
    if not services.stream.partitions(topic):
        raise NotEnoughDataError(f"topic {topic!r} does not exist; run `vigie stream topic`")
    champion = champion_detector(services, detector)
    for spec in (anomaly_index(index), DEAD_LETTERS):
        services.index.ensure(spec)
    return StreamScorer(services, champion, rule, topic, index, dead_letter_topic)
