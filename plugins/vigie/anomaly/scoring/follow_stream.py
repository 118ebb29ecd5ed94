"""Score the lines of the stream as they arrive, until a stop is requested.

A follower works in rounds. In a round, the follower visits each free partition with uncommitted
lines: it acquires the lease, scores a few batches, and releases the lease. Several followers and
the workers of the DAG can therefore share the partitions of a group without any other coordination.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.anomaly.scoring.champion_detector import ChampionDetector, champion_detector
from vigie.anomaly.scoring.result import ScoreResult, score_result
from vigie.anomaly.scoring.score_stream import MAX_LINES, ScoreRun, StreamScorer
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.threshold import FACTOR, DynamicThreshold
from vigie.catalogue import ES_BACKOFF, STREAM_POLL_GAP, STREAM_REJOINS
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import ConflictError, DataError, TransientError
from vigie.records import Sample

if TYPE_CHECKING:
    from vigie.roles import Services, StreamConsumer

log = logging.getLogger(__name__)

CALL_WAIT_S = 10.0
"""Maximum seconds that one call to the index should wait; a stop can be delayed by this time."""

BATCHES_PER_LEASE = 5
"""Number of batches after which a follower releases a partition for other scorers."""

MAX_LOST_LEASES = 5
"""Maximum number of leases that a follower may lose in a row without committing a batch."""

_SLICE_S = 0.5  # longest time between two checks of should_stop while waiting
_MAX_PAUSE_S = 30.0
_REPORT_S = 30.0
_CHAMPION_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """Options of :func:`follow_stream`; ``score_stream`` describes their meaning."""

    topic: str
    group: str
    index: str
    detector: str = LSTM_AUTOENCODER
    factor: float = FACTOR
    threshold: float | None = None
    update: str = "all"
    batch_size: int = 1000
    dead_letter_topic: str | None = None


def follow_stream(
    services: Services,
    options: FollowOptions,
    *,
    should_stop: Callable[[], bool],
    on_result: Callable[[ScoreResult], None],
    wait_s: float = 1.0,
) -> ScoreResult:
    """Score lines as they arrive; return the counts when ``should_stop`` returns True.

    A position is committed after the lines before it are stored. During an outage of the index or
    the brokers, the follower releases its partition and retries with exponential backoff of at most
    30 s. After a lease is lost, the commit fails. The next owner of the lease reads the lines
    again, and the index still stores each line once.

    Parameters
    ----------
    services
        ``services.index`` should wait no longer than ``CALL_WAIT_S`` inside one call.
    options
        Topic, group, index, and options of the scoring.
    should_stop
        Checked at least twice a second while waiting, and before each batch.
    on_result
        Called with the counts so far. Except during an outage, it is called every 30 s and when no
        line arrives for ``wait_s`` after lines were scored. It is also called before a stop during
        an outage raises TransientError.
    wait_s
        Seconds without a new line until ``on_result`` is called; also the first pause of an outage.

    Raises
    ------
    DataError
        An option is invalid, the topic does not exist, or retention deleted lines before they were
        read.
    NotEnoughDataError
        No version of the detector is deployed.
    ConflictError
        More than ``MAX_LOST_LEASES`` leases were lost in a row without a committed batch.
    TransientError
        A service is unavailable at the start. Or the stop was requested during an outage, and lines
        that were read are not committed; the next scorer reads them again.
    """
    if options.batch_size < 1:
        raise DataError(f"batch must be at least 1, not {options.batch_size}")
    if not services.stream.partitions(options.topic):
        raise DataError(f"topic {options.topic!r} does not exist; run `vigie stream topic`")
    for spec in (anomaly_index(options.index), DEAD_LETTERS):
        services.index.ensure(spec)
    champion = champion_detector(services, options.detector)
    return _Follower(services, options, should_stop, on_result, wait_s, champion).run()


@dataclass
class _Follower:
    services: Services
    options: FollowOptions
    should_stop: Callable[[], bool]
    on_result: Callable[[ScoreResult], None]
    wait_s: float
    champion: ChampionDetector
    total: ScoreRun = field(default_factory=ScoreRun)
    uncommitted: dict[int, int] = field(default_factory=dict)  # lines read, per partition
    trouble: TransientError | None = None  # the error that caused the current outage
    attempts: int = 0  # failed rounds in a row
    lost: int = 0  # leases lost in a row without a committed batch
    read_at_loss: int = -1
    interruptions: int = 0  # leases that ended in an error
    is_started: bool = False  # False in the first round, which visits every partition

    def run(self) -> ScoreResult:
        self.started = self.active_at = self.reported_at = self.checked_at = time.monotonic()
        self.reported = 0
        self.scorer = self._scorer()
        while not self.should_stop():
            n_lines = self._round()
            self._report_if_due()
            self._follow_champion()
            if self.trouble is not None:
                self._rest(pause_s(self.wait_s, self.attempts - 1))
            elif not n_lines:
                self._rest(min(self.wait_s, _SLICE_S))
        result = self._result()
        if left := sum(self.uncommitted.values()):
            self.on_result(result)
            raise TransientError(
                f"stopped during an outage: {left} lines are not committed, so the next scorer "
                f"reads them again: {self.trouble}"
            )
        return result

    def _scorer(self) -> StreamScorer:
        names = self.options
        rule = DynamicThreshold(names.factor, names.threshold, names.update)
        return StreamScorer(
            self.services, self.champion, rule, names.topic, names.index, names.dead_letter_topic
        )

    def _round(self) -> int:
        """Visit the free partitions that have lines; return the number of committed lines."""
        before = self.total.counts.read
        try:
            for partition in self._due():
                if self.should_stop():
                    break
                self._visit(partition)
            else:
                self.is_started, self.attempts, self.trouble = True, 0, None
        except TransientError as exc:
            if str(exc) != str(self.trouble):  # Do not log a repeated error again.
                log.warning("a service is unavailable; retrying: %s", exc)
            self.trouble, self.attempts = exc, self.attempts + 1
        n_lines = self.total.counts.read - before
        if n_lines:
            self.active_at = time.monotonic()
        return n_lines

    def _due(self) -> Sequence[int]:
        """Return the partitions to visit, in random order so that followers rarely collide."""
        lags = self.services.stream.lags(self.options.group, self.options.topic)
        due = [partition for partition, lag in lags.items() if lag or not self.is_started]
        self.uncommitted = {p: n for p, n in self.uncommitted.items() if p in due}
        random.shuffle(due)
        return due

    def _visit(self, partition: int) -> None:
        """Score a few batches of a partition if its lease is free."""
        names = self.options
        with ExitStack() as leases:
            try:
                consumer = leases.enter_context(
                    self.services.stream.consumer(names.group, names.topic, [partition], 0.0)
                )
            except ConflictError as exc:  # The owner of the lease reads the uncommitted lines.
                self.uncommitted.pop(partition, None)
                log.debug("partition %d is not free: %s", partition, exc)
                return
            self._drain(consumer, partition)

    def _drain(self, consumer: StreamConsumer, partition: int) -> None:
        run = self.total
        try:
            self.scorer.drain(
                consumer,
                run,
                max_lines=MAX_LINES,
                batch_size=self.options.batch_size,
                max_batches=BATCHES_PER_LEASE,
                should_stop=self.should_stop,
            )
        except ConflictError as exc:
            self._count_lost_lease(exc)
            run.uncommitted = 0
        except TransientError:
            self.interruptions += 1
            if run.uncommitted:
                self.uncommitted[partition], run.uncommitted = run.uncommitted, 0
            raise
        self.uncommitted.pop(partition, None)

    def _count_lost_lease(self, error: ConflictError) -> None:
        """Log a lost lease; raise ``error`` if too many were lost without a committed batch."""
        read = self.total.counts.read
        self.lost = self.lost + 1 if read == self.read_at_loss else 1
        self.read_at_loss = read
        self.interruptions += 1
        log.warning("lost a lease of group %s: %s", self.options.group, error)
        if self.lost > MAX_LOST_LEASES:
            raise error

    def _report_if_due(self) -> None:
        """Call ``on_result`` if no line arrives or 30 s have passed, except during an outage."""
        now, read = time.monotonic(), self.total.counts.read
        is_quiet = read > self.reported and now - self.active_at >= self.wait_s
        if self.trouble is None and (is_quiet or now - self.reported_at >= _REPORT_S):
            self.on_result(self._result())
            self.reported, self.reported_at = read, time.monotonic()

    def _follow_champion(self) -> None:
        """Score with the new champion if another version was deployed."""
        if time.monotonic() - self.checked_at < _CHAMPION_S:
            return
        self.checked_at = time.monotonic()
        try:
            newest = self.services.deployments.champion(self.options.detector)
            if newest is not None and newest.version != self.champion.version:
                self.champion = champion_detector(self.services, self.options.detector)
                self.scorer = self._scorer()
        except TransientError as exc:
            log.warning("continuing with champion version %d: %s", self.champion.version, exc)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.should_stop() and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, _SLICE_S))

    def _lag(self) -> int | None:
        """Trim the stream and count the uncommitted lines; return None if a service is down."""
        names, stream = self.options, self.services.stream
        if self.trouble is not None:
            return None
        try:
            stream.trim(names.topic)  # limits the size of the embedded stream
            return stream.lag(names.group, names.topic)
        except TransientError as exc:
            log.warning("cannot read the lag: %s", exc)
            return None

    def _result(self) -> ScoreResult:
        names, run, labels = self.options, self.total, {"topic": self.options.topic}
        more = [
            Sample(STREAM_POLL_GAP, run.longest_batch_s, labels),
            Sample(STREAM_REJOINS, float(self.interruptions), labels),
            Sample(ES_BACKOFF, self.services.index.take_backoff_s(), {"worker": "0"}),
        ]
        return score_result(
            run.counts,
            run.thresholds,
            topic=names.topic,
            group=names.group,
            index=names.index,
            detector=names.detector,
            model_version=self.champion.version,
            seconds=time.monotonic() - self.started,
            lag=self._lag(),
            more=more,
        )


def pause_s(first_s: float, failures: int) -> float:
    """Return the pause before a retry: ``first_s``, doubled per failure (up to ten), at most 30 s.

    Examples
    --------
    >>> pause_s(1.0, 0), pause_s(1.0, 3), pause_s(1.0, 5000)
    (1.0, 8.0, 30.0)
    """
    return min(first_s * 2.0 ** min(failures, 10), _MAX_PAUSE_S)
