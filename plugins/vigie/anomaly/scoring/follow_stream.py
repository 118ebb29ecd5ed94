"""Score the lines of the stream as they arrive, until somebody says stop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.follow_session import MAX_PAUSE_S, SLICE_S, Followed, Session
from vigie.anomaly.scoring.result import ScoreReport, score_report
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.threshold import FACTOR
from vigie.catalogue import ES_BACKOFF, STREAM_POLL_GAP, STREAM_REJOINS
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import ConflictError, DataError, FencedError, TransientError
from vigie.records import Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

#: Lost partitions are normal; losing them this often without one committed batch is not.
MAX_REJOINS = 5
#: How long a follower's log index may wait inside one call. Longer waits are the follower's own,
#: which stays a member meanwhile: the group gives up a member that is away for 90 s.
INDEX_WAIT_S = 10.0
_WAIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """What is read, as whom, and how it is judged; see :func:`score_stream.score_stream`."""

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
    on_report: Callable[[ScoreReport], None],
    wait_s: float = _WAIT_S,
) -> ScoreReport:
    """Score lines as they arrive; return what was done when ``should_stop`` says so.

    An offset moves only after its lines are stored. A sink or brokers that are away are waited for
    as a member: the partitions are paused, not given up. Partitions that went to somebody else
    are let go without a commit: he reads their lines again, and documents that are there stay one.

    Parameters
    ----------
    services, options
        As for scoring; what is read, and as whom. ``services.index`` should wait no longer than
        ``INDEX_WAIT_S`` inside one call.
    should_stop
        Asked at least about once a second, unless a batch is being stored.
    on_report
        Called with the report so far: when it is quiet after something was scored, at the latest
        every 30 s, and before a stop that leaves lines behind.
    wait_s
        How long no line arrives until it is quiet.

    Raises
    ------
    ConflictError
        The partitions were lost again and again, or another process took the member's name.
    TransientError
        Stopped while a service was away, with lines that were read and not committed. They are
        read again.
    """
    if options.batch_size < 1:
        raise DataError(f"batch must be at least 1, not {options.batch_size}")
    if not services.stream.partitions(options.topic):
        raise DataError(f"there is no topic {options.topic!r}; create it: vigie stream topic")
    for spec in (anomaly_index(options.index), DEAD_LETTERS):
        services.index.ensure(spec)
    return _Follower(services, options, should_stop, on_report, wait_s).run()


@dataclass
class _Follower:
    services: Services
    options: FollowOptions
    should_stop: Callable[[], bool]
    on_report: Callable[[ScoreReport], None]
    wait_s: float
    followed: Followed = field(default_factory=Followed)
    session: Session | None = None
    rejoins: int = 0
    in_vain: int = 0  # joins since the last committed batch, for whatever reason they ended
    lost: int = 0  # those of them that ended because the partitions were lost
    read_before: int = 0

    def run(self) -> ScoreReport:
        """Join; after lost partitions, or an outage, join again."""
        self.started = time.monotonic()
        self.champion = champion_detector(self.services, self.options.detector)
        while not self._is_over():
            self.rejoins += 1
            self._rest(pause_s(self.wait_s, self.in_vain))
        report = self._report()
        if self.followed.in_hand:
            self.on_report(report)
            raise TransientError(
                f"stopped with {self.followed.in_hand} lines that are not committed; they are "
                f"read again: {self.followed.trouble}"
            )
        return report

    def _is_over(self) -> bool:
        """Be a member once; return whether somebody said stop, rather than that it was lost."""
        try:
            self._join()
        except (ConflictError, TransientError) as exc:
            if self._is_hopeless(exc):
                raise
            if isinstance(exc, TransientError):
                self.followed.trouble = exc
            else:
                self.followed.in_hand = 0  # somebody else's now
            log.warning("joining group %s again: %s", self.options.group, exc)
        return self.should_stop()

    def _join(self) -> None:
        names = self.options
        with self.services.stream.consumer(
            names.group, names.topic, member=names.member
        ) as consumer:
            if self.session is not None:
                self.champion = self.session.champion
            self.session = Session(
                self.services,
                names,
                consumer,
                self.champion,
                self.followed,
                should_stop=self.should_stop,
                tell=lambda: self.on_report(self._report()),
                wait_s=self.wait_s,
            )
            self.session.run()

    def _is_hopeless(self, error: ConflictError | TransientError) -> bool:
        """Say whether to give up: never joined, or partitions lost again and again in vain."""
        read = self.followed.counts.read
        if read == self.read_before:
            self.in_vain += 1
            self.lost += isinstance(error, ConflictError)
        else:
            self.in_vain = self.lost = 0
        self.read_before = read
        if isinstance(error, TransientError):
            return self.session is None
        return isinstance(error, FencedError) or self.lost > MAX_REJOINS

    def _rest(self, seconds: float) -> None:
        for _ in range(math.ceil(seconds / SLICE_S)):
            if self.should_stop():
                return
            time.sleep(min(seconds, SLICE_S))

    def _lag(self) -> int | None:
        """Trim the stream, and count what waits; None while a service is away."""
        names, stream = self.options, self.services.stream
        if self.followed.trouble is not None:
            return None
        try:
            stream.trim(names.topic)  # what every group has committed: it does not grow for ever
            return stream.lag(names.group, names.topic)
        except TransientError as exc:
            log.warning("how many lines wait is not known: %s", exc)
            return None

    def _report(self) -> ScoreReport:
        names, labels = self.options, {"topic": self.options.topic}
        more = [
            Sample(STREAM_POLL_GAP, self.followed.longest_gap_s, labels),
            Sample(STREAM_REJOINS, float(self.rejoins), labels),
            Sample(ES_BACKOFF, self.services.index.take_backoff_s(), {"worker": "0"}),
        ]
        session = self.session
        return score_report(
            self.followed.counts,
            session.scoring.thresholds if session else {},
            topic=names.topic,
            group=names.group,
            index=names.index,
            detector=names.detector,
            model_version=session.champion.version if session else self.champion.version,
            seconds=time.monotonic() - self.started,
            lag=self._lag(),
            more=more,
        )


def pause_s(first_s: float, in_vain: int) -> float:
    """Return how long to wait before joining again: twice as long each time, up to half a minute.

    Examples
    --------
    >>> pause_s(1.0, 0), pause_s(1.0, 3), pause_s(1.0, 5000)
    (1.0, 8.0, 30.0)
    """
    return min(first_s * 2.0 ** min(in_vain, 10), MAX_PAUSE_S)
