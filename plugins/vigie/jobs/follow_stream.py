"""Score the lines of the stream as they arrive, until somebody says stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.detector import LSTM_AUTOENCODER
from vigie.anomaly.documents import anomaly_index
from vigie.anomaly.threshold import FACTOR, DynamicThreshold
from vigie.catalogue import STREAM_POLL_GAP, STREAM_REJOINS
from vigie.errors import ConflictError, DataError, FencedError, TransientError
from vigie.jobs.batch_size import BatchSize
from vigie.jobs.champion_detector import champion_detector
from vigie.jobs.score_metrics import Counts, ScoreReport, score_report
from vigie.jobs.score_run import ScoreRun
from vigie.logs.index_specs import DEAD_LETTERS
from vigie.records import Sample, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import Services, StreamConsumer

log = logging.getLogger(__name__)

#: Lost partitions are normal; losing them this often without one committed batch is not.
MAX_REJOINS = 5
_WAIT_S = 1.0
_MAX_PAUSE_S = 30.0
_CHAMPION_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """What is read, as whom, and how it is judged; see :func:`vigie.jobs.score_stream`."""

    topic: str
    group: str
    index: str
    member: str
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
    on_quiet: Callable[[ScoreReport], None],
    wait_s: float = _WAIT_S,
) -> ScoreReport:
    """Score lines as they arrive; return what was done when ``should_stop`` says so.

    An offset moves only after its lines are stored. A sink that is away is waited for with the
    partitions paused, so that this member is not given up. Partitions that went to somebody else
    are let go without a commit: he reads their lines again, and documents that are there stay one.

    Parameters
    ----------
    services, options
        As for scoring; what is read, and as whom.
    should_stop
        Asked between two batches.
    on_quiet
        Called with the report so far at the end of the log, after something was scored.
    wait_s
        How long a look waits for new lines.

    Raises
    ------
    ConflictError
        The partitions were lost again and again, or another process took the member's name.
    """
    if options.batch_size < 1:
        raise DataError(f"batch must be at least 1, not {options.batch_size}")
    for spec in (anomaly_index(options.index), DEAD_LETTERS):
        services.index.ensure(spec)
    return _Follower(services, options, should_stop, on_quiet, wait_s).run()


@dataclass
class _Follower:
    services: Services
    options: FollowOptions
    should_stop: Callable[[], bool]
    on_quiet: Callable[[ScoreReport], None]
    wait_s: float
    counts: Counts = field(default_factory=Counts)
    rejoins: int = 0
    in_vain: int = 0
    read_before: int = 0
    has_joined: bool = False
    longest_gap_s: float = 0.0

    def run(self) -> ScoreReport:
        """Join; after lost partitions, or an outage, join again."""
        names = self.options
        self.started = time.monotonic()
        self.champion = champion_detector(self.services, names.detector)
        while True:
            try:
                with self.services.stream.consumer(
                    names.group, names.topic, member=names.member
                ) as consumer:
                    self._session(consumer)
                return self._report()
            except (ConflictError, TransientError) as exc:
                if self._is_hopeless(exc):
                    raise
                log.warning("joining group %s again: %s", names.group, exc)
            self.rejoins += 1
            time.sleep(min(self.wait_s * 2**self.in_vain, _MAX_PAUSE_S))

    def _is_hopeless(self, error: ConflictError | TransientError) -> bool:
        """Say whether to give up: never joined, or partitions lost again and again in vain."""
        self.in_vain = self.in_vain + 1 if self.counts.read == self.read_before else 0
        self.read_before = self.counts.read
        if isinstance(error, TransientError):
            return not self.has_joined
        return isinstance(error, FencedError) or self.in_vain > MAX_REJOINS

    def _session(self, consumer: StreamConsumer) -> None:
        """Score what one membership gives us."""
        self.scoring = self._scoring(consumer)
        self.has_joined = True
        size = BatchSize(self.options.batch_size, consumer.max_gap_s)
        quiet_at, asked = self.counts.read, time.monotonic()
        while not self.should_stop():
            records = consumer.poll(size.lines, timeout_s=self.wait_s)
            polled = time.monotonic()
            if consumer.assignment != self.scoring.assignment:
                self.scoring.restore()
            if records:
                self._process(consumer, records)
                self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - polled)
                size.took(len(records), time.monotonic() - polled)
            elif self.counts.read > quiet_at:
                quiet_at = self.counts.read
                self.on_quiet(self._report())
            if time.monotonic() - asked > _CHAMPION_S:
                asked = time.monotonic()
                self._follow_champion(consumer)

    def _scoring(self, consumer: StreamConsumer) -> ScoreRun:
        names = self.options
        return ScoreRun(
            self.services,
            consumer,
            self.champion,
            DynamicThreshold(names.factor, names.threshold, names.update),
            names.topic,
            names.index,
            names.dead_letter_topic,
            self.counts,
        )

    def _follow_champion(self, consumer: StreamConsumer) -> None:
        """Score with the new champion, if there is one: its scores start a new state."""
        newest = self.services.deployments.champion(self.options.detector)
        if newest is not None and newest.version != self.champion.version:
            self.champion = champion_detector(self.services, self.options.detector)
            self.scoring = self._scoring(consumer)

    def _process(self, consumer: StreamConsumer, records: Sequence[StreamRecord]) -> None:
        """Score a batch; while the sink is away hold it, and stay a member."""
        pause_s = self.wait_s
        while True:
            try:
                return self.scoring.process(records)
            except TransientError as exc:
                log.warning("%d lines wait %.0f s for the sink: %s", len(records), pause_s, exc)
            consumer.idle(pause_s)
            if consumer.assignment != self.scoring.assignment or self.should_stop():
                return None  # not committed: the lines are read again, here or elsewhere
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _report(self) -> ScoreReport:
        names, labels = self.options, {"topic": self.options.topic}
        more = [
            Sample(STREAM_POLL_GAP, self.longest_gap_s, labels),
            Sample(STREAM_REJOINS, float(self.rejoins), labels),
        ]
        return score_report(
            self.counts,
            self.scoring.thresholds,
            topic=names.topic,
            group=names.group,
            index=names.index,
            detector=names.detector,
            model_version=self.champion.version,
            seconds=time.monotonic() - self.started,
            lag=self.services.stream.lag(names.group, names.topic),
            more=more,
        )
