"""What a follower does while it is a member of its group: read, score, tell."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.batch_size import BatchSize
from vigie.anomaly.scoring.champion_detector import ChampionDetector, champion_detector
from vigie.anomaly.scoring.result import Counts
from vigie.anomaly.scoring.score_run import ScoreRun
from vigie.anomaly.scoring.threshold import DynamicThreshold
from vigie.errors import ConflictError, TransientError
from vigie.records import StreamRecord

if TYPE_CHECKING:
    from vigie.anomaly.scoring.follow_stream import FollowOptions
    from vigie.roles import Services, StreamConsumer

log = logging.getLogger(__name__)

#: Between two waits of this length somebody may say stop.
SLICE_S = 0.5
MAX_PAUSE_S = 30.0
_REPORT_S = 30.0
_CHAMPION_S = 30.0
#: A member survives brokers that are away; after this time a new one begins, in case it does not.
_SILENCE_S = 30.0


@dataclass(slots=True)
class Followed:
    """What all memberships of one follower have in common."""

    counts: Counts = field(default_factory=Counts)
    longest_gap_s: float = 0.0
    in_hand: int = 0  # lines that were read and are not committed
    trouble: TransientError | None = None  # why it does not go on just now
    size: BatchSize | None = None  # a new member scores no faster than the one before
    told_at: float = field(default_factory=time.monotonic)
    told_read: int = 0

    @contextmanager
    def away(self) -> Iterator[None]:
        """Measure how long the group does not hear of us."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - begun)


class Session:
    """One membership of the group.

    Parameters
    ----------
    services, options, consumer, champion
        What is read, and what scores it.
    followed
        Goes on from one membership to the next.
    should_stop
        Asked at least twice a second, unless lines are being stored.
    tell
        Called when it is quiet after something was scored, and at the latest every 30 s.
    wait_s
        How long no line arrives until it is quiet, and the first wait for a sink that is away.
    """

    def __init__(
        self,
        services: Services,
        options: FollowOptions,
        consumer: StreamConsumer,
        champion: ChampionDetector,
        followed: Followed,
        *,
        should_stop: Callable[[], bool],
        tell: Callable[[], None],
        wait_s: float,
    ) -> None:
        self.services, self.options, self.consumer = services, options, consumer
        self.champion, self.followed = champion, followed
        self.should_stop, self.tell, self.wait_s = should_stop, tell, wait_s
        self.size = followed.size or BatchSize(options.batch_size, consumer.max_gap_s)
        followed.size = self.size
        self.heard = self.busy = self.asked = time.monotonic()
        self.joined_as = consumer.assignment
        self.scoring = self._scoring(champion)

    def _scoring(self, champion: ChampionDetector) -> ScoreRun:
        names = self.options
        return ScoreRun(
            self.services,
            self.consumer,
            champion,
            DynamicThreshold(names.factor, names.threshold, names.update),
            names.topic,
            names.index,
            names.dead_letter_topic,
            self.followed.counts,
        )

    def run(self) -> None:
        """Score what arrives until somebody says stop."""
        while not self.should_stop():
            records = self._poll()
            if self.consumer.assignment != self.scoring.assignment:
                self.scoring.restore()
            if records:
                self._process(records)
                self.busy = time.monotonic()
            self._tell_sometimes()
            if time.monotonic() - self.asked > _CHAMPION_S:
                self.asked = time.monotonic()
                self._follow_champion()

    def _poll(self) -> Sequence[StreamRecord]:
        """Take what has arrived; brokers that are away are waited for as a member."""
        assignment = self.consumer.assignment
        try:
            records = self.consumer.poll(self.size.lines, timeout_s=min(self.wait_s, SLICE_S))
        except TransientError as exc:
            is_broken = self.consumer.assignment != assignment  # it may own nothing, for ever
            if is_broken or time.monotonic() - self.heard > _SILENCE_S:
                raise
            self._note(exc, "the stream is waited for")
            time.sleep(min(self.wait_s, SLICE_S))
            return ()
        self.heard = time.monotonic()
        if self.consumer.partitions or assignment != self.joined_as:  # the group answered once
            self.followed.in_hand, self.followed.trouble = 0, None  # lost lines are not ours
        return records

    def _process(self, records: Sequence[StreamRecord]) -> None:
        """Score a batch; while the sink or the brokers are away hold it, and stay a member."""
        pause_s = self.wait_s
        self.followed.in_hand = len(records)
        while not self._is_done(records):
            self._idle(pause_s)
            if self.consumer.assignment != self.scoring.assignment or self.should_stop():
                return  # not committed: the lines are read again, here or elsewhere
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _is_done(self, records: Sequence[StreamRecord]) -> bool:
        begun = time.monotonic()
        try:
            with self.followed.away():
                self.scoring.process(records)
        except TransientError as exc:
            self._note(exc, f"{len(records)} lines wait")
            return False
        except ConflictError:  # perhaps for being away too long, which must not happen again
            self.size.took(len(records), time.monotonic() - begun)
            raise
        self.size.took(len(records), time.monotonic() - begun)
        self.followed.in_hand, self.followed.trouble = 0, None
        return True

    def _idle(self, seconds: float) -> None:
        for _ in range(math.ceil(seconds / SLICE_S)):
            if self.should_stop() or self.consumer.assignment != self.scoring.assignment:
                return
            self.consumer.idle(min(seconds, SLICE_S))

    def _tell_sometimes(self) -> None:
        """Tell what was done, unless a service is away just now."""
        followed, now = self.followed, time.monotonic()
        is_news = followed.counts.read > followed.told_read and now - self.busy >= self.wait_s
        is_due = is_news or now - followed.told_at >= _REPORT_S
        if followed.trouble is not None or not is_due:
            return
        with followed.away():
            self.tell()
        followed.told_read, followed.told_at = followed.counts.read, time.monotonic()

    def _follow_champion(self) -> None:
        """Score with the new champion, if there is one: its scores start a new state."""
        try:
            newest = self.services.deployments.champion(self.options.detector)
            if newest is not None and newest.version != self.champion.version:
                champion = champion_detector(self.services, self.options.detector)
                scoring = self._scoring(champion)  # asks the stream, which may not answer
                self.champion, self.scoring = champion, scoring
        except TransientError as exc:
            log.warning("version %d goes on to score: %s", self.champion.version, exc)

    def _note(self, trouble: TransientError, what: str) -> None:
        if str(trouble) != str(self.followed.trouble):  # once, not every second
            log.warning("%s: %s", what, trouble)
        self.followed.trouble = trouble
