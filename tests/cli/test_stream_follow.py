"""``vigie stream consume --follow`` on the embedded stream, until a signal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from vigie import state_keys
from vigie.adapters.postgres.stream import PgStream
from vigie.anomaly.scoring import follow_stream
from vigie.anomaly.scoring.follow_stream import CALL_WAIT_S
from vigie.cli import stream
from vigie.errors import DataError, TransientError
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing import FakeServices

TOPIC, INDEX, GROUP = "vigie-logs", "mozilla-clogs-index", "vigie-scorer"
JOB = "stream_follow_m"


@pytest.fixture
def opened(
    services: FakeServices, trained: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> FakeServices:
    @contextmanager
    def fake(
        overrides: dict[str, str | None] | None = None, call_wait_s: float | None = None
    ) -> Iterator[FakeServices]:
        services.settings = Settings.from_env({})  # type: ignore[attr-defined]
        services.call_wait_s = call_wait_s  # type: ignore[attr-defined]
        yield services

    monkeypatch.setattr(stream, "services", fake)
    services.deployments, services.bundles = trained.deployments, trained.bundles
    return services


@pytest.fixture(params=["memory", "postgres"])
def embedded(request: pytest.FixtureRequest, opened: FakeServices) -> Iterator[FakeServices]:
    """Return services with each embedded stream."""
    if request.param == "memory":
        yield opened
        return
    engine = create_engine(request.getfixturevalue("database_url"))
    opened.stream = PgStream(engine)  # type: ignore[assignment]
    yield opened
    engine.dispose()


def lines(n: int, start: int = 0) -> list[Message]:
    return [Message(b"worker accepted request %d" % i) for i in range(start, start + n)]


def follow(until: Callable[[], bool], number: int = signal.SIGTERM) -> tuple[int, str, Any]:
    """Run the command with every line as an anomaly; send a signal when ``until`` is true."""

    def watch() -> None:
        deadline = time.monotonic() + 30
        while not (ended.is_set() or until()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not ended.is_set():
            os.kill(os.getpid(), number)

    ended = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    before = signal.getsignal(number)
    options = ["--member", "m", "--interval", "0.1", "--threshold", "-1"]
    result = CliRunner().invoke(stream.app, ["consume", "--follow", *options])
    ended.set()
    watcher.join()
    assert signal.getsignal(number) == before
    return result.exit_code, result.output, result.exception


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_last_batch(embedded: FakeServices, number: int) -> None:
    embedded.stream.create_topic(TOPIC, 2)
    embedded.stream.produce(TOPIC, lines(60), 0)
    embedded.stream.produce(TOPIC, lines(60, 100), 1)
    code, output, error = follow(lambda: embedded.index.count(INDEX) == 120, number)
    assert code == 0, error
    assert "120" in output
    assert embedded.stream.lag(GROUP, TOPIC) == 0
    assert embedded.index.count("vigie-incidents") >= 1


def test_scored_lines_are_deleted_while_it_runs(embedded: FakeServices) -> None:
    embedded.stream.create_topic(TOPIC)
    embedded.stream.produce(TOPIC, lines(60))
    seen: list[int] = []

    def is_pushed() -> bool:
        if not seen and JOB in {job for job, _ in embedded.metrics.groups}:
            seen.append(embedded.stream.trim(TOPIC))
        return bool(seen)

    assert follow(is_pushed)[0] == 0
    assert seen == [0], "lines were left"


def test_metrics_are_pushed_and_deleted_at_the_end(opened: FakeServices) -> None:
    opened.stream.create_topic(TOPIC)
    opened.stream.produce(TOPIC, lines(30))
    pushed: dict[str, Any] = {}

    def is_pushed() -> bool:
        groups = dict(opened.metrics.groups)
        if (JOB, (("outcome", "success"),)) in groups:
            pushed.update({s.name: s.value for group in groups.values() for s in group})
        return bool(pushed)

    assert follow(is_pushed)[0] == 0
    assert pushed["vigie_stream_read_lines"] == 30
    assert pushed["vigie_job_last_success_timestamp_seconds"] == opened.now().timestamp()
    assert pushed["vigie_job_succeeded"] == 1.0
    assert opened.metrics.groups == {}


@pytest.mark.parametrize("error", [TransientError("down"), DataError("refused")])
def test_a_failed_push_does_not_stop_the_follower(
    opened: FakeServices, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(follow_stream, "_REPORT_S", 0.1)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(opened.metrics, "push", fail)
    monkeypatch.setattr(opened.metrics, "delete", fail)
    opened.stream.create_topic(TOPIC)
    opened.stream.produce(TOPIC, lines(30))

    def failed() -> int:
        return int((opened.state.get(state_keys.pushed_groups(JOB)) or {}).get("failures", 0))

    code, _, problem = follow(lambda: failed() > 2)
    assert code == 0, problem
    assert opened.index.count(INDEX) == 30


@pytest.mark.parametrize("error", [TransientError("down"), DataError("refused")])
def test_incidents_that_fail_are_grouped_later(
    opened: FakeServices, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(follow_stream, "_REPORT_S", 0.1)
    scan, failures = opened.index.scan, iter(range(2))

    def failing(*arguments: Any, **more: Any) -> Any:
        if next(failures, None) is not None:
            raise error
        return scan(*arguments, **more)

    monkeypatch.setattr(opened.index, "scan", failing)
    opened.stream.create_topic(TOPIC)
    opened.stream.produce(TOPIC, lines(30))
    code, _, problem = follow(lambda: opened.index.count("vigie-incidents") > 0)
    assert code == 0, problem


def test_the_followers_index_does_not_wait_long(opened: FakeServices) -> None:
    opened.stream.create_topic(TOPIC)
    opened.stream.produce(TOPIC, lines(30))
    assert follow(lambda: opened.index.count(INDEX) == 30)[0] == 0
    assert opened.call_wait_s == CALL_WAIT_S  # type: ignore[attr-defined]
