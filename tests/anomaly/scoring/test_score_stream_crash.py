"""Scoring on PostgreSQL: killing a worker does not change documents or thresholds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vigie.anomaly.scoring.group_incidents import group_incidents
from vigie.faults import VARIABLE
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing.detectors import deploy_detector
from vigie.wiring import LazyServices, open_services

TOPIC = "logs"
SCORE = """
import sys
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.settings import Settings
from vigie.wiring import open_services

with open_services(Settings.from_env()) as services:
    score_stream(services, topic="logs", group=sys.argv[1], index=sys.argv[1],
                 max_lines=int(sys.argv[2]), batch_size=40)
"""
LINES = [
    *(f"worker accepted request {n} from 10.0.0.9 in {n} ms".encode() for n in range(150)),
    b"disk exploded violently", b"", b"\x00\x01\x02\x03" * 20, b"cache forwarded odd request",
    *(f"cache finished request {n} from 10.0.0.9 in {n} ms".encode() for n in range(150)),
    b"disk exploded violently",
]  # fmt: skip


@pytest.fixture
def opened(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LazyServices]:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    monkeypatch.setenv("VIGIE_DATABASE_URL", database_url)
    with open_services(Settings.from_env()) as services:
        deploy_detector(services)
        services.stream.create_topic(TOPIC)
        services.stream.produce(TOPIC, [Message(line) for line in LINES])
        for group in ("whole", "killed"):  # trim keeps the lines for both groups
            with services.stream.consumer(group, TOPIC):
                pass
        yield services


def score(group: str, max_lines: int = 10_000, crash_at: str = "") -> int:
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCORE, group, str(max_lines)],
        env=os.environ | {VARIABLE: crash_at},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


@pytest.mark.timeout(600)
def test_killed_scoring_loses_and_repeats_nothing(opened: LazyServices) -> None:
    assert score("whole") == 0
    for point in ("before_bulk", "after_bulk"):
        assert score("killed", crash_at=point) == -signal.SIGKILL
        assert score("killed", max_lines=60) == 0
        assert score("killed", crash_at=point) == -signal.SIGKILL
    assert score("killed") == 0

    whole, killed = documents(opened, "whole"), documents(opened, "killed")
    assert killed.keys() == whole.keys()
    assert len(whole) == len(LINES) - 2
    assert opened.index.count("vigie-dead-letters") == 2
    for key, body in whole.items():
        again = killed[key]
        assert again["is_anomaly"] == body["is_anomaly"]
        assert again["anomaly_score"] == body["anomaly_score"]
        if body["threshold_used"] is not None:
            assert abs(again["threshold_used"] - body["threshold_used"]) < 1e-9
    assert opened.stream.lag("killed", TOPIC) == 0
    assert opened.stream.trim(TOPIC) == 0, "the last run deleted what both groups have scored"
    assert opened.stream.lag("a third", TOPIC) == 0
    assert incidents(opened, "killed") == incidents(opened, "whole") > 0


def documents(services: LazyServices, index: str) -> dict[str, dict[str, object]]:
    return {document.id: dict(document.body) for document in services.index.scan(index)}


def incidents(services: LazyServices, index: str) -> int:
    result = group_incidents(services, topic=TOPIC, index=index)
    assert group_incidents(services, topic=TOPIC, index=index).written == 0
    return result.incidents
