"""Jobs and commands on a real Kafka: dead letters, the topic, `vigie check`."""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from typer.testing import CliRunner

from vigie.adapters.kafka.stream import KafkaStream
from vigie.anomaly.ingest.ingest_log_files import ingest_log_files
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.dead_letters.letters import DEAD_LETTERS, original_bytes
from vigie.errors import DataError, PermanentError
from vigie.local.check import check_roles
from vigie.records import Message, Position
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector


@pytest.fixture
def topic() -> str:
    return f"jobs-{secrets.token_hex(4)}"


@pytest.fixture
def stream(kafka_servers: str, topic: str) -> Iterator[KafkaStream]:
    kafka = KafkaStream(kafka_servers)
    kafka.create_topic(topic)
    yield kafka
    for name in (topic, f"{topic}.dlq"):
        kafka.delete_topic(name)
    kafka.close()


def test_a_binary_message_is_copied_to_the_dead_letter_topic(
    stream: KafkaStream, topic: str, services: FakeServices
) -> None:
    services.stream = stream  # type: ignore[assignment]
    deploy_detector(services)
    poison = b"\x00\x01\x02\x03" * 20
    good = [Message(b"worker accepted request 1"), Message(b"worker finished request 1")]
    stream.produce(topic, [good[0], Message(poison, {"source": "app.log"}), good[1]])
    report = score_stream(
        services, topic=topic, group=topic, index="scored", dead_letter_topic=f"{topic}.dlq"
    )
    assert (report.read, report.indexed, report.dead_lettered) == (3, 2, 1)
    assert services.index.count(DEAD_LETTERS.name) == 1
    assert stream.lag(topic, topic) == 0
    with stream.consumer("operator", f"{topic}.dlq") as consumer:
        [copy] = consumer.poll(10)
    assert copy.value == poison
    assert dict(copy.headers) == {
        "source": "app.log",
        "kind": "not_a_line",
        "reason": "80 bytes that are not text",
        "topic": topic,
        "partition": "0",
        "offset": "1",
    }


def limited(kafka_servers: str, topic: str, n_bytes: int) -> None:
    """Set the maximum message size of a topic."""
    entry = ConfigEntry("max.message.bytes", str(n_bytes))
    entry.incremental_operation = AlterConfigOpType.SET
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka_servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)


@pytest.mark.parametrize("limit", [1_048_588, 100_000, 2_000, 300])
def test_a_dead_letter_that_is_too_large_for_its_topic_does_not_stop_scoring(
    stream: KafkaStream, topic: str, services: FakeServices, kafka_servers: str, limit: int
) -> None:
    """With the added headers, the dead letter may exceed the size limit of its topic."""
    services.stream = stream  # type: ignore[assignment]
    deploy_detector(services)
    stream.create_topic(f"{topic}.dlq")
    limited(kafka_servers, f"{topic}.dlq", limit)
    noise = random.Random(1).randbytes
    poison = [
        b"\x00\x01" + noise(1_000),
        b"\x00" * 300 + noise(1_047_900),
        b"\x00\x02" + noise(900),
    ]
    stream.produce(topic, [Message(value) for value in [*poison, b"worker finished request 1"]])
    report = score_stream(
        services, topic=topic, group=topic, index="scored", dead_letter_topic=f"{topic}.dlq"
    )
    assert (report.indexed, report.dead_lettered, report.lag) == (1, 3, 0)
    kept = {original_bytes(letter.body) for letter in services.index.scan(DEAD_LETTERS.name)}
    assert kept == set(poison)
    with stream.consumer("operator", f"{topic}.dlq") as consumer:
        copies = consumer.poll(10)
    if limit >= 2_000:
        assert {copy.headers["offset"] for copy in copies} == {"0", "1", "2"}
    for copy in copies:
        original = poison[int(copy.headers["offset"])]
        assert original.startswith(copy.value)
        if copy.value != original:
            assert copy.headers["original_length"] == str(len(original))
            assert copy.headers["sha256"] == hashlib.sha256(original).hexdigest()


def test_small_lines_are_written_where_a_batch_is_too_large(
    stream: KafkaStream, topic: str, kafka_servers: str
) -> None:
    limited(kafka_servers, topic, 20_000)
    noise = random.Random(1).randbytes
    messages = [Message(noise(5_000).hex().encode()) for _ in range(20)]
    assert stream.produce(topic, messages) == 0
    with stream.consumer("reader", topic) as consumer:
        assert {record.value for record in consumer.poll(100)} == {m.value for m in messages}


def test_a_refused_line_is_reported_with_the_setting_to_change(
    stream: KafkaStream,
    topic: str,
    services: FakeServices,
    kafka_servers: str,
    tmp_path: Path,
) -> None:
    services.stream = stream  # type: ignore[assignment]
    limited(kafka_servers, topic, 20_000)
    folder = tmp_path / "logs"
    folder.mkdir()
    long = random.Random(1).randbytes(40_000).hex().encode()
    (folder / "a.log").write_bytes(b"short\n" + long + b"\nlast\n")
    with pytest.raises(
        PermanentError, match=r"a\.log: writing failed at the line at byte 6;.*max\.message\.bytes"
    ):
        ingest_log_files(services, topic=topic, base_dir=folder)


def test_a_recreated_topic_with_fewer_lines_is_an_error(
    stream: KafkaStream, topic: str, services: FakeServices
) -> None:
    stream.produce(topic, [Message(b"a")] * 5)
    with stream.consumer(topic, topic) as consumer:
        consumer.commit({0: Position(12)})
    with (
        stream.consumer(topic, topic) as consumer,
        pytest.raises(DataError, match=r"line 12 .* does not exist: .* ends before 5"),
    ):
        consumer.poll(10)


@pytest.mark.parametrize("batch_size", [1000, 4, 1])  # the end arrives with or after the lines
def test_transactions_leave_no_lag_and_aborted_lines_are_not_read(
    stream: KafkaStream, topic: str, services: FakeServices, kafka_servers: str, batch_size: int
) -> None:
    services.stream = stream  # type: ignore[assignment]
    deploy_detector(services)
    other = Producer({"bootstrap.servers": kafka_servers, "transactional.id": topic})
    other.init_transactions(20)
    for end in (other.commit_transaction, other.abort_transaction, other.commit_transaction):
        other.begin_transaction()
        for n in range(3):
            other.produce(topic, b"worker accepted request %d" % n, partition=0)
        other.flush(20)
        end(20)
    while stream.end_offsets(topic) != {0: 12}:  # Kafka writes markers after the commit
        time.sleep(0.1)
    report = score_stream(services, topic=topic, group=topic, index="scored", batch_size=batch_size)
    assert report.read == 6
    assert stream.lag(topic, topic) == 0


def test_recreating_a_topic_needs_two_options(
    kafka_servers: str,
    database_url: str,
    topic: str,
    stream: KafkaStream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vigie.cli.main import app

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_servers)
    monkeypatch.setenv("VIGIE_DATABASE_URL", database_url)
    monkeypatch.setenv("VIGIE_STREAM_TOPIC", topic)
    stream.produce(topic, [Message(b"a")] * 5)
    run = CliRunner().invoke
    assert "already exists" in run(app, ["stream", "topic"]).output
    refused = run(app, ["stream", "topic", "--recreate"])
    assert isinstance(refused.exception, DataError)
    assert stream.end_offsets(topic) == {0: 5}
    done = run(app, ["stream", "topic", "--recreate", "--yes", "--partitions", "2"])
    assert "5 lines deleted" in done.output.replace("\n", " ")
    assert stream.end_offsets(topic) == {0: 0, 1: 0}


def test_check_reports_the_cluster_or_that_it_is_down(kafka_servers: str, tmp_path: Path) -> None:
    def stream_status(servers: str) -> tuple[bool, str]:
        settings = Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": servers})
        [found] = [s for s in check_roles(settings).statuses if s.role == "stream"]
        return found.ok, found.detail

    ok, detail = stream_status(kafka_servers)
    assert ok
    assert detail.startswith("cluster ")
    ok, detail = stream_status("127.0.0.1:1")
    assert not ok
    assert "127.0.0.1:1" in detail
