"""Killing and stopping followers while lines arrive, on a real Kafka and Elasticsearch.

``VIGIE_TEST_KILLS=50`` (``make test-soak``) kills fifty times instead of five.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from vigie.adapters.elastic.index import EsIndex
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.errors import DataError
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing.detectors import deploy_detector
from vigie.wiring import LazyServices, open_services

KILLS = int(os.environ.get("VIGIE_TEST_KILLS", "5"))
FOLLOWERS, PARTITIONS, ROUND = 3, 4, 40
NAME = f"follow-kill-{secrets.token_hex(3)}"
WHOLE = f"{NAME}-whole"
FOLLOW = """
import signal
import sys
import threading
import time
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.settings import Settings
from vigie.wiring import open_services

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print("ready", flush=True)

class InSlowMotion:
    # slow enough for a kill from outside to hit any step of a batch

    def __init__(self, index):
        self.index = index

    def __getattr__(self, name):
        return getattr(self.index, name)

    def create(self, name, documents):
        print("storing", flush=True)
        time.sleep(0.1)
        outcome = self.index.create(name, documents)
        time.sleep(0.1)
        return outcome

name = sys.argv[1]
with open_services(Settings.from_env(), 2.0) as services:
    services.index = InSlowMotion(services.index)
    options = FollowOptions(topic=name, group=name, index=name, batch_size=10)
    follow_stream(services, options, should_stop=stop.is_set, on_result=print, wait_s=0.2)
"""


@pytest.fixture
def opened(
    kafka_servers: str,
    elasticsearch_url: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LazyServices]:
    where = urlsplit(elasticsearch_url)
    for name, value in {
        "VIGIE_HOME": str(tmp_path),
        "VIGIE_DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
        "ELASTICSEARCH_HOST": str(where.hostname),
        "ELASTICSEARCH_PORT": str(where.port),
    }.items():
        monkeypatch.setenv(name, value)
    with open_services(Settings.from_env()) as services:
        deploy_detector(services)
        services.stream.create_topic(NAME, PARTITIONS)
        yield services
        services.stream.delete_topic(NAME)
        elasticsearch: EsIndex = services.index  # type: ignore[assignment]
        for index in (WHOLE, NAME):
            elasticsearch.drop(index)
        with suppress(DataError):  # missing if the test failed early
            elasticsearch.client.request("DELETE", f"/_index_template/vigie-{NAME}*")


class Followers:
    """Child processes, one per follower."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, member: str) -> None:
        with self.output(member).open("wb") as out, self.output(member, "err").open("ab") as err:
            self.running[member] = subprocess.Popen(
                [sys.executable, "-I", "-c", FOLLOW, NAME], stdout=out, stderr=err
            )

    def output(self, member: str, what: str = "out") -> Path:
        return self.folder / f"{member}.{what}"

    def kill_while_it_stores(self, member: str, dice: random.Random, seconds: float) -> bool:
        """Kill a follower while it stores a batch; return False if it stored nothing in time."""
        self._await_output(member, 0, 60)
        if not self._await_output(member, self.output(member).stat().st_size, seconds):
            return False
        time.sleep(dice.uniform(0.0, 0.25))
        child = self.running.pop(member)
        child.kill()
        assert child.wait(30) == -signal.SIGKILL
        return True

    def _await_output(self, member: str, size: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.output(member).stat().st_size <= size:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def stop(self, member: str) -> None:
        """Stop a follower with SIGTERM."""
        child = self.running.pop(member)
        self._await_output(member, 0, 60)
        child.terminate()
        assert child.wait(60) == 0, self.output(member, "err").read_text()[-3000:]


@pytest.fixture
def followers(tmp_path: Path) -> Iterator[Followers]:
    found = Followers(tmp_path)
    yield found
    for child in found.running.values():
        child.kill()
        child.wait(30)


def produce(services: LazyServices, dice: random.Random) -> None:
    units = ("gateway", "worker", "scheduler", "cache")
    for partition in range(PARTITIONS):
        lines = [b"%s accepted request" % dice.choice(units).encode() for _ in range(ROUND)]
        if dice.random() < 0.5:
            lines[dice.randrange(ROUND)] = b"disk exploded violently"
        services.stream.produce(NAME, [Message(line) for line in lines], partition)


@pytest.mark.timeout(3600)
def test_every_line_has_one_document_after_kills(
    opened: LazyServices, followers: Followers
) -> None:
    seed = secrets.randbits(32)
    dice, did = random.Random(seed), Counter[str]()
    members = [f"m{number}" for number in range(FOLLOWERS)]
    for member in members:
        followers.begin(member)
    while did["killed"] < KILLS:
        produce(opened, dice)
        member = dice.choice(members)
        if did["stopped"] < did["killed"] // 2:
            followers.stop(member)
            did["stopped"] += 1
        elif followers.kill_while_it_stores(member, dice, seconds=20):
            did["killed"] += 1
        else:
            did["was idle"] += 1
            continue
        followers.begin(member)
    deadline = time.monotonic() + 120
    while opened.stream.lag(NAME, NAME):
        assert time.monotonic() < deadline, f"seed {seed}: {dict(did)}"
        time.sleep(0.2)
    for member in members:
        followers.stop(member)

    score_stream(opened, topic=NAME, group=WHOLE, index=WHOLE)
    whole, found = documents(opened, WHOLE), documents(opened, NAME)
    assert found.keys() == whole.keys(), f"seed {seed}: {dict(did)}"
    places = {(body["partition"], body["offset"]) for body in found.values()}
    assert len(found) == len(places) == sum(opened.stream.end_offsets(NAME).values())
    for key, body in whole.items():
        assert found[key]["is_anomaly"] == body["is_anomaly"]
        assert found[key]["threshold_used"] == pytest.approx(body["threshold_used"], abs=1e-9)


def documents(services: LazyServices, index: str) -> dict[str, dict[str, Any]]:
    services.index.count(index)  # refreshes the index
    found = [(document.id, dict(document.body)) for document in services.index.scan(index)]
    assert len(found) == len({key for key, _ in found})
    return dict(found)
