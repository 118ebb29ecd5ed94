"""Options of the Kafka clients, and requests that need no consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from vigie.adapters.kafka.errors import MEANINGS, explain, meaning, translated
from vigie.errors import DataError, SettingsError, TransientError

#: `vigie check` and the first call of a job must fail within five seconds if no broker responds.
CONNECT_S = 4.0
DESCRIBE_S = 2.0  # the five seconds of `vigie check` include the start of the command
MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_quiet = logging.getLogger("vigie.kafka.client")
_quiet.addHandler(logging.NullHandler())

COMMON: Mapping[str, Any] = {
    "client.id": "vigie",
    "allow.auto.create.topics": False,  # a misspelled topic must raise an error
    "log.connection.close": False,
    "logger": _quiet,  # errors are raised; librdkafka would also print them to stderr
    "reconnect.backoff.max.ms": 2_000,  # reconnect soon after a broker restarted
}
PRODUCER: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "lz4",
    # librdkafka's default (1 MB) is below a broker's default. This value, the default limit of a
    # librdkafka consumer, is so high that only the limit of the topic applies.
    "message.max.bytes": 100_000_000,
}
CONSUMER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # never skip records that retention deleted
    "group.protocol": "classic",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 20,
    "queued.max.messages.kbytes": 16_384,  # limits the unread messages in memory
    # Limits one response for all partitions. The queue may exceed its limit by one response.
    "fetch.max.bytes": 16 << 20,
}


class KafkaCluster:
    """The address, options and admin client of a cluster, shared by producer and consumers.

    Parameters
    ----------
    servers
        Bootstrap servers, ``host:port,…``.
    security
        Options of librdkafka for TLS and SASL; never printed.
    outage_s
        Seconds that a write waits for unavailable brokers before it raises UndeliveredError.
    patience_s
        Seconds that reads and commits wait for unavailable brokers; None: ``outage_s``.
    """

    def __init__(
        self,
        servers: str,
        security: Mapping[str, str],
        outage_s: float,
        patience_s: float | None = None,
    ) -> None:
        self.servers = servers
        self.outage_s = outage_s
        self.patience_s = outage_s if patience_s is None else patience_s
        self.ask_s = min(CONNECT_S, self.patience_s)  # time limit of one request
        self._security = dict(security)
        self._errors: list[KafkaError] = []  # errors of the connections of the admin client

    def options(self, *kinds: Mapping[str, Any], **own: Any) -> dict[str, Any]:
        """Merge common options, ``kinds`` and ``own``; ``_`` in a key of ``own`` means ``.``."""
        found = {"bootstrap.servers": self.servers, **COMMON, **self._security}
        for kind in kinds:
            found |= kind
        return found | {key.replace("_", "."): value for key, value in own.items()}

    @cached_property
    def admin(self) -> AdminClient:
        with translated("the settings of Kafka are wrong"):
            return AdminClient(self.options() | {"error_cb": self._errors.append})

    @contextmanager
    def _asking(self, what: str) -> Iterator[AdminClient]:
        """Yield the admin client and translate its errors; after a TransientError, drop the client.

        With librdkafka 2.16, a client cannot read the offsets of a group any more after a broker
        was restarted. A refused login or certificate is reported to ``error_cb`` only; the request
        itself fails with "transport failure".

        A local variable refers to the client, because another thread may close ``admin``, and
        requests of a deleted client never end.
        """
        admin = self.admin
        try:
            with translated(what):
                yield admin
        except TransientError:
            admin.poll(0)
            errors, self._errors[:] = list(self._errors), []
            if self.__dict__.get("admin") is admin:
                self.close()
            for error in errors:
                if is_refusal(error):
                    raise SettingsError(f"{what}: {error.str()} ({error.name()})") from None
            raise

    def _again(self, what: str, ask: Callable[[AdminClient], dict[int, int]]) -> dict[int, int]:
        """Call ``ask``; retry a TransientError for 2 s, with a new client to read new metadata."""

        def attempt() -> dict[int, int]:
            with self._asking(what) as admin:
                return ask(admin)

        return Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_delay(CONNECT_S / 2),
            wait=wait_fixed(0.1),
            reraise=True,
        )(attempt)

    def close(self) -> None:
        """Close the admin client; the next request creates a new client."""
        self.__dict__.pop("admin", None)

    def partitions(self, topic: str, wait_s: float = CONNECT_S) -> int:
        """Return the number of partitions of a topic; 0 if the topic does not exist."""
        with self._asking(f"the request to Kafka at {self.servers} failed") as admin:
            found = admin.list_topics(topic, timeout=wait_s).topics[topic]
        if found.error is None:
            return len(found.partitions)
        if found.error.code() in MISSING:
            return 0
        if found.error.code() == KafkaError.TOPIC_EXCEPTION:
            raise DataError(f"{topic!r} is not a valid name of a Kafka topic")
        raise explain(found.error, f"cannot read topic {topic!r}")

    def create(self, topic: str, partitions: int) -> bool:
        """Create a topic with the default replication factor; return False if the topic exists."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=-1)
        with self._asking(f"topic {topic!r} was not created") as admin:
            future = admin.create_topics([new], request_timeout=CONNECT_S)[topic]
            return _done(future, KafkaError.TOPIC_ALREADY_EXISTS)

    def delete(self, topic: str) -> bool:
        """Delete a topic and its committed offsets; return False if the topic does not exist."""
        with self._asking(f"topic {topic!r} was not deleted") as admin:
            future = admin.delete_topics([topic], request_timeout=CONNECT_S)[topic]
            return _done(future, *MISSING)

    def bounds(self, topic: str, *, oldest: bool) -> dict[int, int]:
        """Return the first offset of each partition if ``oldest``, otherwise its end offset."""
        spec = OffsetSpec.earliest() if oldest else OffsetSpec.latest()
        n_partitions = self.partitions(topic, self.ask_s)
        wanted = {TopicPartition(topic, p): spec for p in range(n_partitions)}
        if not wanted:
            return {}

        def ask(admin: AdminClient) -> dict[int, int]:
            asked = admin.list_offsets(
                wanted,
                request_timeout=self.ask_s,
                # The end offset excludes open transactions, which consumers cannot read yet.
                isolation_level=IsolationLevel.READ_COMMITTED,
            )
            return {place.partition: _answer(future).offset for place, future in asked.items()}

        return self._again(f"cannot read the offsets of {topic!r}", ask)

    def committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the committed offset of each partition; omit partitions without a commit."""
        places = [TopicPartition(topic, p) for p in partitions]
        request = [ConsumerGroupTopicPartitions(group, places)]

        def ask(admin: AdminClient) -> dict[int, int]:
            asked = admin.list_consumer_group_offsets(request, request_timeout=self.ask_s)
            found = _answer(asked[group]).topic_partitions
            for at in found:  # an offset with an error is negative, as if never committed
                if at.error is not None:
                    raise KafkaException(at.error)
            return {at.partition: at.offset for at in found if at.offset >= 0}

        return self._again(f"cannot read the offsets of group {group!r}", ask)

    def describe(self) -> str:
        """Return the id and number of brokers of the cluster; Kafka does not report a version."""
        with self._asking(f"the request to Kafka at {self.servers} failed") as admin:
            found = _answer(admin.describe_cluster(request_timeout=DESCRIBE_S))
        return f"cluster {found.cluster_id}, {len(found.nodes)} broker(s)"


def _answer(future: Any) -> Any:
    """Return the result of an admin request; wait longer than the client's own time limit."""
    try:
        return future.result(timeout=CONNECT_S + 1.0)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


def _done(future: Any, *expected: int) -> bool:
    """Wait for an admin request; return False if it failed with one of the expected codes."""
    try:
        _answer(future)
    except KafkaException as exc:
        if exc.args[0].code() in expected:
            return False
        raise
    return True


def is_refusal(error: KafkaError) -> bool:
    """Return whether a connection was refused because of credentials or certificates.

    With TLS 1.3, a client without the required certificate gets a "transport failure". Only the
    text of this error contains the alert of the broker.
    """
    return meaning(error) is SettingsError or "SSL alert" in error.str()


def is_passing(error: KafkaError) -> bool:
    """Return whether a reader can ignore the error, because librdkafka retries."""
    return not error.fatal() and MEANINGS.get(error.code()) is TransientError
