"""Compare vigie's consumer, with decoding, to a bare ``consume(1000)`` loop of the client.

Run: ``.venv/bin/python -I benchmarks/bench_kafka_consume.py [lines]`` after ``make services``.
Both read the same lines (120 bytes, the headers that ``vigie stream ingest`` writes) from one
partition of the real broker, alternately, in one process. The bare loop discards its messages; the
consumer of vigie decodes them into records. The last line is the ratio of the medians; the goal is
at least 0.5.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from servers.state import read_site
from vigie.adapters.kafka.client import CONSUMER
from vigie.adapters.kafka.stream import KafkaStream
from vigie.records import Message

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.5
ROUNDS = 5


def bare(stream: KafkaStream, topic: str, n: int) -> float:
    """Return lines per second of a loop that discards its messages."""
    consumer = Consumer(stream.cluster.options(CONSUMER, group_id=secrets.token_hex(4)))
    consumer.assign([TopicPartition(topic, 0, 0)])
    consumer.consume(1, timeout=10)  # connect first
    started, read = time.perf_counter(), 1
    while read < n:
        read += len(consumer.consume(1000, timeout=1.0))
    seconds = time.perf_counter() - started
    consumer.close()
    return n / seconds


def ours(stream: KafkaStream, topic: str, n: int) -> float:
    """Return lines per second of the consumer that jobs use."""
    with stream.consumer(secrets.token_hex(4), topic) as consumer:
        consumer.poll(1)
        started, read = time.perf_counter(), 1
        while read < n:
            read += len(consumer.poll(1000))
        return n / (time.perf_counter() - started)


def measure(stream: KafkaStream, topic: str, n: int) -> float:
    """Run both alternately, print the medians, return their ratio."""
    loops: dict[str, Callable[[KafkaStream, str, int], float]] = {"bare": bare, "ours": ours}
    found: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            found[name].append(loop(stream, topic, n))
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    print(f"{n:,} lines, {ROUNDS} rounds")
    print(f"  bare consume(1000)      {medians['bare']:10,.0f} lines/s")
    print(f"  vigie poll(1000)        {medians['ours']:10,.0f} lines/s")
    return medians["ours"] / medians["bare"]


def main(n: int) -> None:
    """Fill a temporary topic, measure, delete the topic."""
    servers = read_site(ROOT).urls.get("kafka")
    if servers is None:
        print("skipped: no Kafka here; start it with: make services")
        return
    stream, topic = KafkaStream(servers), f"bench-{secrets.token_hex(4)}"
    stream.create_topic(topic)
    try:
        line = b"worker accepted request %09d from 10.0.0.9 in 17 ms".ljust(120, b".")
        for start in range(0, n, 10_000):
            numbers = range(start, min(start + 10_000, n))
            headers = {"source": "bench/app.log", "line_id": secrets.token_hex(32)}
            stream.produce(topic, [Message(line % i, headers) for i in numbers])
        ratio = measure(stream, topic, n)
        print(f"ratio {ratio:.2f} (goal {GOAL})")
    finally:
        stream.delete_topic(topic)
        stream.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
