"""Cases of ``test_outage.py``, which runs them in a process of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.own_broker import OwnBroker
from servers.processes import process_of
from servers.state import Site
from vigie.adapters.kafka.stream import KafkaStream
from vigie.anomaly.ingest.ingest_log_files import ingest_log_files
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.errors import TransientError
from vigie.records import Message, Position
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector

AWAY_S = float(os.environ.get("VIGIE_TEST_OUTAGE_S", "4"))
GROUP = "scorer"


@pytest.fixture(scope="module")
def broker(
    site: Site, kafka_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnBroker]:
    own = OwnBroker(site, tmp_path_factory.mktemp("kafka"))
    yield own
    own.stop()


def lines(n: int, start: int = 0) -> list[Message]:
    return [Message(b"line %d" % number) for number in range(start, start + n)]


@pytest.mark.timeout(300)
def test_reading_committing_and_writing_continue_after_an_outage(broker: OwnBroker) -> None:
    stream = KafkaStream(broker.servers, outage_s=AWAY_S + 60)
    stream.create_topic("middle")
    stream.produce("middle", lines(500))
    with stream.consumer(GROUP, "middle") as consumer:
        seen = consumer.poll(100)
        back = broker.away(AWAY_S)
        consumer.commit({0: Position(len(seen), "state")})
        assert consumer.committed() == {0: Position(len(seen), "state")}
        back.join()
        while records := consumer.poll(100):
            seen += records
        assert [record.offset for record in seen] == list(range(500))
        back = broker.away(AWAY_S)
        assert stream.produce("middle", lines(200, 500)) == 500
        back.join()
        rest = [r.value for _ in range(20) for r in consumer.poll(100, timeout_s=0.2)]
        assert rest == [b"line %d" % n for n in range(500, 700)]
    stream.close()


@pytest.mark.timeout(300)
def test_a_broker_that_is_down_is_reported(broker: OwnBroker) -> None:
    stream = KafkaStream(broker.servers)
    broker.kill()
    try:
        with pytest.raises(TransientError, match=broker.servers):
            stream.partitions("middle")
    finally:
        broker.begin()
        stream.close()


@pytest.mark.timeout(300)
def test_a_follower_survives_an_outage(broker: OwnBroker, services: FakeServices) -> None:
    deploy_detector(services)
    stream = KafkaStream(
        broker.servers, locks=lambda: services.locks, patience_s=AWAY_S / 2
    )  # patience_s is shorter than the outage
    services.stream = stream  # type: ignore[assignment]
    stream.create_topic("followed", 2)
    stream.produce("followed", lines(300))
    stop_it, reports = threading.Event(), []
    options = FollowOptions(topic="followed", group="followers", index="scored")

    def follow() -> None:
        report = follow_stream(
            services,
            options,
            should_stop=stop_it.is_set,
            on_result=lambda result: None,
            wait_s=0.2,
        )
        reports.append(report)

    thread = threading.Thread(target=follow)
    thread.start()
    wait_for(lambda: stream.lag("followers", "followed") == 0)
    broker.away(AWAY_S).join()
    KafkaStream(broker.servers).produce("followed", lines(100, 300), partition=1)
    wait_for(lambda: stream.lag("followers", "followed") == 0)
    stop_it.set()
    thread.join(60)
    [report] = reports
    assert report.read == services.index.count("scored") == 400
    stream.close()


@pytest.mark.timeout(300)
def test_ingesting_reports_the_first_missing_line_and_continues_there(
    broker: OwnBroker, services: FakeServices, tmp_path: Path
) -> None:
    stream = KafkaStream(broker.servers, outage_s=2.0)
    services.stream = stream  # type: ignore[assignment]
    text = "".join(f"line {n}\n" for n in range(50))
    (tmp_path / "app.log").write_text(text)
    ingest_log_files(services, topic="files", base_dir=tmp_path, patterns=["*.log"])
    with (tmp_path / "app.log").open("a") as file:
        file.write("late 0\nlate 1\n")
    (tmp_path / "aaa.log").write_text("first\n")

    def kill_once(seconds: float) -> None:  # in the pause after the first file
        if process_of(broker.site, "kafka") is not None:
            broker.kill()

    with pytest.raises(TransientError, match=rf"app\.log.* byte {len(text)}"):
        ingest_log_files(
            services, topic="files", base_dir=tmp_path, patterns=["*.log"], sleep=kill_once
        )
    broker.begin()
    report = ingest_log_files(services, topic="files", base_dir=tmp_path, patterns=["*.log"])
    assert report.lines == 2
    with stream.consumer("files", "files") as consumer:
        records = consumer.poll(100)
    ids = [record.headers["line_id"] for record in records]
    assert len(set(ids)) == 53
    stream.close()


def wait_for(condition: object, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():  # type: ignore[operator]
                return
        except TransientError:
            pass
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)
