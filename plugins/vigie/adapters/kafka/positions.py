"""Read the bounds of a topic's partitions; read and commit the positions of a group."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from vigie.adapters.kafka.client import MISSING, KafkaCluster
from vigie.adapters.kafka.errors import translated
from vigie.adapters.kafka.messages import pack, unpack
from vigie.errors import ConflictError, TransientError
from vigie.records import Position

T = TypeVar("T")


class KafkaPositions:
    """The positions of a group in one topic, read and committed through one client.

    Each request waits up to ``wait_s`` for unavailable brokers, then raises TransientError.

    Attributes
    ----------
    token
        Fencing token, stored with every commit to show which consumer committed last.
    """

    def __init__(self, cluster: KafkaCluster, client: Consumer, group: str, topic: str) -> None:
        self._cluster, self._client = cluster, client
        self.group, self.topic = group, topic
        self.token = secrets.token_hex(4)
        self._is_closed = False
        self._last_write: Future[object] | None = None

    def bounds(self, partition: int, wait_s: float) -> tuple[int, int]:
        """Return the oldest offset and the end offset of a partition."""
        place = TopicPartition(self.topic, partition)
        what = f"cannot read the end offset of partition {partition} of topic {self.topic!r}"
        return self._retried(lambda: self._watermarks(place), wait_s, what)

    def _watermarks(self, place: TopicPartition) -> tuple[int, int] | None:
        """Request the offsets once; return None if an existing partition is reported as unknown.

        The client reports a partition without a leader as unknown. A broker reports a new topic as
        unknown until the broker has received its metadata.
        """
        try:
            found: tuple[int, int] | None = self._client.get_watermark_offsets(
                place, timeout=self._cluster.ask_s, cached=False
            )
            return found
        except KafkaException as exc:
            if exc.args[0].code() not in (KafkaError._UNKNOWN_PARTITION, *MISSING):
                raise
            if self._cluster.partitions(self.topic, self._cluster.ask_s) > place.partition:
                return None
            raise self._deleted() from exc

    def stored(self, partitions: Sequence[int], wait_s: float) -> dict[int, tuple[str, Position]]:
        """Return each partition's token and position: without a commit, the oldest offset."""
        places = [TopicPartition(self.topic, p) for p in partitions]
        ask_s = self._cluster.ask_s
        found = self._retried(
            lambda: self._of_topic(lambda: self._client.committed(places, timeout=ask_s)),
            wait_s,
            f"cannot read the positions of group {self.group!r} in {self.topic!r}",
        )
        positions: dict[int, tuple[str, Position]] = {}
        for at in found:
            token, state = unpack(at.metadata)
            is_fresh = at.offset == OFFSET_INVALID
            offset = self.bounds(at.partition, wait_s)[0] if is_fresh else at.offset
            positions[at.partition] = token, Position(offset, state)
        return positions

    def write(self, positions: Mapping[int, Position], wait_s: float) -> None:
        """Commit positions and wait for the confirmation.

        The client's own call has no time limit, so it runs in a thread. After a TransientError the
        last attempt may still succeed.
        """
        offsets = [
            TopicPartition(self.topic, p, at.offset, pack(self.token, at.metadata))
            for p, at in sorted(positions.items())
        ]
        what = f"the positions of group {self.group!r} in {self.topic!r} were not committed"

        def commit() -> list[TopicPartition]:
            if self._is_closed:
                raise ConflictError(what)
            answer: list[TopicPartition] = self._client.commit(offsets=offsets, asynchronous=False)
            return answer

        self._last_write = _in_thread(
            lambda: self._retried(lambda: self._of_topic(commit), wait_s, what)
        )
        if not wait([self._last_write], wait_s).done:
            raise TransientError(
                f"Kafka at {self._cluster.servers} did not confirm the positions of group "
                f"{self.group!r} in {self.topic!r} within {wait_s:.0f} s"
            )
        self._last_write.result()

    def _retried(self, ask: Callable[[], T | None], wait_s: float, what: str) -> T:
        """Retry a call for up to ``wait_s`` while brokers are unavailable; return its result."""
        where = f"{what} at {self._cluster.servers}"

        def attempt() -> T:
            with translated(where):
                answer = ask()
            if answer is None:
                raise TransientError(where)
            return answer

        return Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_before_delay(wait_s),
            wait=wait_exponential(multiplier=0.05, max=1.0),
            reraise=True,
        )(attempt)

    def _of_topic(self, ask: Callable[[], list[TopicPartition]]) -> list[TopicPartition]:
        """Return the result of ``ask``, or raise the first error in it.

        A missing topic raises ConflictError.
        """
        try:
            answer = ask()
            for place in answer:
                if place.error is not None:
                    raise KafkaException(place.error)
            return answer
        except KafkaException as exc:
            if exc.args[0].code() in MISSING:
                raise self._deleted() from exc
            raise

    def _deleted(self) -> ConflictError:
        return ConflictError(f"topic {self.topic!r} was deleted while group {self.group!r} read it")

    def close(self) -> None:
        """Close the client, after any commit in progress, because a close during it would block."""
        self._is_closed = True
        if self._last_write is None:
            self._client.close()
        else:
            self._last_write.add_done_callback(lambda _: self._client.close())


def _in_thread(call: Callable[[], object]) -> Future[object]:
    """Start a call in a thread that does not keep the process alive."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 (raised where the result is read)
            future.set_exception(exc)

    Thread(target=run, daemon=True).start()
    return future
