"""Writing to Kafka: a call returns when every message is on the brokers, or says from where not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from vigie.adapters.kafka_client import PRODUCER, KafkaCluster
from vigie.adapters.kafka_errors import explain, meaning, translated
from vigie.errors import DataError, TransientError, UndeliveredError, VigieError
from vigie.records import Message

_POLL_S = 0.1


class KafkaWriter:
    """An idempotent producer (``acks=all``), made on the first call.

    A retry inside the library never repeats or reorders a message. After a failed call some of its
    messages may be there: the caller writes the batch again, and line ids absorb what is double.
    """

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster

    @cached_property
    def _producer(self) -> Producer:
        timeout_ms = int(self._cluster.outage_s * 1000)
        options = self._cluster.options(PRODUCER, delivery_timeout_ms=timeout_ms)
        with translated("the settings of Kafka are wrong"):
            return Producer(options)

    def write(self, topic: str, partition: int, messages: Sequence[Message]) -> int:
        """Append messages in order; return the offset of the first."""
        call = _Call(len(messages))
        for place, message in enumerate(messages):
            self._enqueue(topic, partition, message, partial(call.answered, place))
        deadline = time.monotonic() + self._cluster.outage_s + 5.0
        while call.missing and time.monotonic() < deadline:
            self._producer.poll(_POLL_S)
        if call.failed or call.missing:
            raise self._failure(topic, messages, call)
        return call.first_offset

    def _enqueue(
        self, topic: str, partition: int, message: Message, answered: Callable[..., None]
    ) -> None:
        headers = [(key, str(value).encode()) for key, value in message.headers.items()]
        options: dict[str, Any] = {"headers": headers} if headers else {}
        while True:
            try:
                self._producer.produce(
                    topic,
                    message.value,
                    partition=partition,
                    on_delivery=answered,
                    **options,
                )
                return
            except BufferError:  # the library's queue is full: what is in it must go first
                self._producer.poll(_POLL_S)
            except KafkaException as exc:
                answered(exc.args[0], None)
                return

    def _failure(self, topic: str, messages: Sequence[Message], call: _Call) -> VigieError:
        """Forget the producer (a fatal error ends it) and say where the gap begins."""
        first, error = call.first_failure()
        self._drop()
        what = (
            f"{call.delivered} of {len(messages)} messages reached topic {topic!r} at "
            f"{self._cluster.servers}; the first that did not is number {first}"
        )
        if error is None:
            return UndeliveredError(f"{what}: no answer", first=first)
        kind = meaning(error)
        if kind is TransientError or error.fatal():
            return UndeliveredError(f"{what}: {error.str()} ({error.name()})", first=first)
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            return DataError(f"{what}: there is no such partition; create the topic first")
        return explain(error, what)

    def _drop(self) -> None:
        producer = self._producer
        producer.purge(in_queue=True, in_flight=True)
        producer.poll(0)
        del self._producer

    def close(self) -> None:
        """Nothing waits here: every call ended with its messages delivered or refused."""
        self.__dict__.pop("_producer", None)


class _Call:
    """The answers to one call's messages."""

    def __init__(self, n: int) -> None:
        self.missing = n
        self.delivered = 0
        self.first_offset = 0
        self.failed: dict[int, KafkaError] = {}
        self.seen: set[int] = set()

    def answered(self, place: int, error: KafkaError | None, message: Any) -> None:
        self.missing -= 1
        self.seen.add(place)
        if error is not None:
            self.failed[place] = error
            return
        self.delivered += 1
        if place == 0:
            self.first_offset = message.offset()

    def first_failure(self) -> tuple[int, KafkaError | None]:
        """Return the first message without a confirmation, and why (None: no answer yet)."""
        unanswered = next((p for p in range(len(self.seen) + 1) if p not in self.seen), 0)
        if not self.missing:
            place = min(self.failed)
            return place, self.failed[place]
        place = min([unanswered, *self.failed])
        return place, self.failed.get(place)
