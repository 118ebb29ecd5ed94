"""Killing a worker at random moments, on a real Kafka and Elasticsearch.

``VIGIE_TEST_KILLS=50`` (``make test-soak``) kills fifty times instead of five.
"""

from __future__ import annotations

import logging
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
from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.anomaly.scoring.threshold import unpack_state
from vigie.anomaly.scoring.welford import Welford
from vigie.errors import DataError
from vigie.faults import VARIABLE
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing.detectors import deploy_detector
from vigie.wiring import LazyServices, open_services

log = logging.getLogger(__name__)
KILLS = int(os.environ.get("VIGIE_TEST_KILLS", "5"))
BATCH = 20
PARTITIONS = 2
POINTS = ("before_bulk", "after_bulk", "after_commit")
NAME = f"kill-{secrets.token_hex(3)}"
WHOLE, KILLED = f"{NAME}-whole", f"{NAME}-killed"
SCORE = """
import sys
import time
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.settings import Settings
from vigie.wiring import open_services

class InSlowMotion:
    # slow enough for a kill from outside to hit any step of the first batches

    def __init__(self, index):
        self.index = index

    def __getattr__(self, name):
        return getattr(self.index, name)

    def create(self, name, documents):
        print("storing", flush=True)
        time.sleep(0.05)
        outcome = self.index.create(name, documents)
        time.sleep(0.05)
        return outcome

with open_services(Settings.from_env()) as services:
    if sys.argv[4:]:
        services.index = InSlowMotion(services.index)
    score_stream(services, topic=sys.argv[1], group=sys.argv[2], index=sys.argv[2],
                 batch_size=int(sys.argv[3]))
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
        for index in (WHOLE, KILLED):
            elasticsearch.drop(index)
        with suppress(DataError):  # missing if the test failed early
            elasticsearch.client.request("DELETE", f"/_index_template/vigie-{NAME}*")


def lines(n: int) -> list[Message]:
    dice = random.Random(3)
    units = ("gateway", "worker", "scheduler", "cache")
    odd = (b"disk exploded violently", b"cache forwarded odd request")
    return [
        Message(
            dice.choice(odd)
            if dice.random() < 0.02
            else f"{dice.choice(units)} accepted request {i} from 10.0.0.9 in {i} ms".encode()
        )
        for i in range(n)
    ]


def scoring(group: str, *options: str, crash_at: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", SCORE, NAME, group, str(BATCH), *options],
        env=os.environ | {VARIABLE: crash_at},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str], expected: int = 0) -> None:
    _, errors = child.communicate(timeout=120)
    assert child.returncode == expected, errors[-3000:]


def kill(dice: random.Random) -> str:
    """Kill a worker; return the name of the crash point, or 'moment' for a random time."""
    if dice.random() < 0.6:
        point = dice.choice(POINTS)
        finish(scoring(KILLED, crash_at=f"{point}:{dice.randint(1, 3)}"), -signal.SIGKILL)
        return point
    child = scoring(KILLED, "slowly")
    assert child.stdout is not None
    assert child.stdout.readline() == "storing\n", child.communicate()[1][-3000:]
    time.sleep(dice.uniform(0.0, 0.2))
    child.kill()
    finish(child, -signal.SIGKILL)
    return "moment"


@pytest.mark.timeout(3600)
def test_random_kills_lose_nothing_and_repeat_nothing(opened: LazyServices) -> None:
    messages = lines(200 + 60 * KILLS)  # enough that no worker ends before it is killed
    half = len(messages) // 2
    opened.stream.produce(NAME, messages[:half], 0)
    opened.stream.produce(NAME, messages[half:], 1)
    finish(scoring(WHOLE))
    seed = secrets.randbits(32)
    dice = random.Random(seed)
    killed = Counter(kill(dice) for _ in range(KILLS))
    left = opened.stream.lag(KILLED, NAME)
    assert left > 0
    finish(scoring(KILLED))
    log.info("seed %d: %s, %d of %d lines left", seed, dict(killed), left, len(messages))

    whole, again = documents(opened, WHOLE), documents(opened, KILLED)
    assert len(whole) == len(places(whole)) == len(messages)
    assert len(places(again)) == len(again), "a line has two documents"
    assert again.keys() == whole.keys(), killed
    for key, body in whole.items():
        assert again[key]["anomaly_score"] == body["anomaly_score"]
        assert again[key]["is_anomaly"] == body["is_anomaly"]
        assert again[key]["threshold_used"] == pytest.approx(body["threshold_used"], abs=1e-9)
    assert states(opened, KILLED) == states(opened, WHOLE)
    assert opened.stream.lag(KILLED, NAME) == opened.stream.lag(WHOLE, NAME) == 0


def documents(services: LazyServices, index: str) -> dict[str, dict[str, Any]]:
    found = [(document.id, dict(document.body)) for document in services.index.scan(index)]
    assert len(found) == len({key for key, _ in found})
    return dict(found)


def places(found: dict[str, dict[str, Any]]) -> set[tuple[int, int]]:
    return {(body["partition"], body["offset"]) for body in found.values()}


def states(services: LazyServices, group: str) -> dict[int, tuple[int, Any, Any]]:
    champion = services.deployments.champion(LSTM_AUTOENCODER)
    assert champion is not None
    with services.stream.consumer(group, NAME) as consumer:
        found = {
            p: unpack_state(at.metadata, champion.version, LSTM_AUTOENCODER) or Welford()
            for p, at in consumer.committed().items()
        }
    return {
        p: (s.n, pytest.approx(s.mean, abs=1e-9), pytest.approx(s.std, abs=1e-9))
        for p, s in found.items()
    }
