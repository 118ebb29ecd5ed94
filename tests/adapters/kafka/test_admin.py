"""Requests that need no consumer, on a real Kafka."""

from __future__ import annotations

import secrets
import time
from threading import Event, Thread

import psutil
from confluent_kafka import Producer

from vigie.adapters.kafka.stream import KafkaStream


def test_lines_of_an_open_transaction_do_not_count_as_lag(kafka_servers: str) -> None:
    topic = f"open-{secrets.token_hex(4)}"
    stream = KafkaStream(kafka_servers)
    stream.create_topic(topic)
    other = Producer({"bootstrap.servers": kafka_servers, "transactional.id": topic})
    try:
        other.init_transactions(20)
        other.begin_transaction()
        other.produce(topic, b"not yet", partition=0)
        other.flush(20)
        assert stream.lag("scorer", topic) == 0
        other.commit_transaction(20)
        deadline = time.monotonic() + 10  # Kafka writes the marker after the commit
        while (lag := stream.lag("scorer", topic)) == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert lag == 2  # the line and the transaction marker
    finally:
        stream.delete_topic(topic)
        stream.close()


def test_closing_a_stream_ends_its_threads(kafka_servers: str) -> None:
    me = psutil.Process()
    before = me.num_threads()
    for _ in range(10):
        stream = KafkaStream(kafka_servers)
        assert stream.partitions("missing-topic") == 0
        stream.close()
    deadline = time.monotonic() + 10
    while me.num_threads() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert me.num_threads() <= before + 1


def test_a_request_is_answered_although_another_thread_replaced_the_client(
    kafka_servers: str,
) -> None:
    """After an outage, one thread drops the client while another thread uses the client."""
    stream, stop = KafkaStream(kafka_servers), Event()

    def close_repeatedly() -> None:
        while not stop.is_set():
            stream.cluster.close()

    thread = Thread(target=close_repeatedly)
    thread.start()
    try:
        for _ in range(50):
            assert stream.cluster.committed("no-group", "no-topic", [0]) == {}
    finally:
        stop.set()
        thread.join()
        stream.close()
