"""Write messages to Kafka and wait until the brokers have confirmed each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from vigie.adapters.kafka.client import PRODUCER, KafkaCluster
from vigie.adapters.kafka.errors import explain, meaning, translated
from vigie.encoding import clean
from vigie.errors import RefusedMessageError, TransientError, UndeliveredError, VigieError
from vigie.records import Message

_POLL_S = 0.1
_TOO_LARGE = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}
)


class KafkaWriter:
    """A writer with an idempotent producer (``acks=all``), created by the first call.

    A retry inside the client never repeats or reorders a message. After a failed call, some of its
    messages may be stored. If the caller writes them again, the stream contains them twice; the ids
    of the lines prevent duplicate documents.
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
        """Append one or more messages in order; return the offset of the first message.

        A topic with a low size limit may refuse a batch although no message exceeds the limit. The
        refused messages are then sent again one by one, after the accepted messages.

        Raises
        ------
        RefusedMessageError
            Kafka or its client refused a message, for example because it is too large.
        UndeliveredError
            The brokers did not confirm every message in time.
        """
        call = _Call(len(messages))
        self._send(topic, partition, messages, range(len(messages)), call)
        for place in call.too_large() if len(messages) > 1 else ():
            call.forget(place)
            self._send(topic, partition, messages, [place], call)
            if call.missing or place in call.failed:
                break
        if call.failed or call.missing:
            raise self._failure(topic, messages, call)
        return call.first_offset

    def _send(
        self,
        topic: str,
        partition: int,
        messages: Sequence[Message],
        places: Sequence[int],
        call: _Call,
    ) -> None:
        """Send the messages at these places and wait for their confirmations."""
        for place in places:
            self._enqueue(topic, partition, messages[place], partial(call.answered, place))
        deadline = time.monotonic() + self._cluster.outage_s + 5.0
        while call.missing and time.monotonic() < deadline:
            self._producer.poll(_POLL_S)

    def _enqueue(
        self, topic: str, partition: int, message: Message, answered: Callable[..., None]
    ) -> None:
        kept = clean(message.headers)  # header values, such as file names, can be invalid UTF-8
        headers = [(key, str(value).encode()) for key, value in kept.items()]
        options: dict[str, Any] = {"headers": headers} if headers else {}
        while True:
            try:
                self._producer.produce(
                    topic, message.value, partition=partition, on_delivery=answered, **options
                )
                return
            except BufferError:  # the client's queue is full: wait until messages are delivered
                self._producer.poll(_POLL_S)
            except KafkaException as exc:
                answered(exc.args[0], None)
                return

    def _failure(self, topic: str, messages: Sequence[Message], call: _Call) -> VigieError:
        """Convert the first failure to an error of vigie, and discard the producer."""
        first, error = call.first_failure()
        self._drop()  # after a fatal error the producer cannot be used any more
        what = (
            f"Kafka at {self._cluster.servers} confirmed {call.delivered} of {len(messages)} "
            f"messages for topic {topic!r}; the first failure is message {first + 1}"
        )
        if error is None:
            return UndeliveredError(f"{what}: no confirmation in time", first=first)
        kind = meaning(error)
        if kind is TransientError or error.fatal():
            return UndeliveredError(f"{what}: {error.str()} ({error.name()})", first=first)
        is_too_large = error.code() in _TOO_LARGE
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            what += ": the topic does not have this partition"
        elif is_too_large:
            what += (
                f" ({len(messages[first].value)} bytes); raise max.message.bytes of the topic, or "
                "message.max.bytes of the brokers"
            )
        text = str(explain(error, what))
        return RefusedMessageError(text, first=first, is_too_large=is_too_large)

    def _drop(self) -> None:
        producer = self._producer
        producer.purge(in_queue=True, in_flight=True)
        producer.poll(0)
        del self._producer

    def close(self) -> None:
        """Close the producer; no message is pending, because each write waits for its own."""
        self.__dict__.pop("_producer", None)


class _Call:
    """The state of one ``write``: the places of confirmed, failed and pending messages."""

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

    def too_large(self) -> list[int]:
        """Return the indices of the failed messages if all were too large and none is open."""
        codes = {error.code() for error in self.failed.values()}
        return sorted(self.failed) if codes <= _TOO_LARGE and not self.missing else []

    def forget(self, place: int) -> None:
        """Mark a failed message as pending, because it is sent again."""
        self.missing += 1
        self.seen.discard(place)
        del self.failed[place]

    def first_failure(self) -> tuple[int, KafkaError | None]:
        """Return the first place without a confirmation, and its error; None if it is pending."""
        unanswered = next((p for p in range(len(self.seen) + 1) if p not in self.seen), 0)
        if not self.missing:
            place = min(self.failed)
            return place, self.failed[place]
        place = min([unanswered, *self.failed])
        return place, self.failed.get(place)
