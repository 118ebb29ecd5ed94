"""Followers during injected faults of the brokers and of the index."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from support.fake_es import FakeEs
from support.fake_es_http import Fault
from support.fake_es_store import error
from support.kafka_mock import OFFSET_COMMIT, KafkaMock, MockKafkaStream
from vigie.adapters.elastic.index import EsIndex
from vigie.adapters.elastic.retry import Patience
from vigie.anomaly.scoring.follow_stream import CALL_WAIT_S, FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreResult
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import TransientError
from vigie.records import Document, Message
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.wiring import LazyServices

TOPIC, GROUP, INDEX = "logs", "scorer", "scored"
BUSY = error(429, "es_rejected_execution_exception", "rejected execution of bulk")


@pytest.fixture
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as cluster:
        yield cluster


@pytest.fixture
def ready(tmp_path: Path, trained: FakeServices, mock: KafkaMock) -> Iterator[FakeServices]:
    services = FakeServices(tmp_path)
    services.deployments, services.bundles = trained.deployments, trained.bundles
    stream = MockKafkaStream(mock, locks=lambda: services.locks, patience_s=2.0)
    stream.create_topic(TOPIC, 2)
    services.stream = stream  # type: ignore[assignment]
    yield services
    stream.close()


@pytest.fixture
def begin(ready: FakeServices) -> Iterator[Callable[[], Follower]]:
    """Yield a function that starts a follower; stop the followers at the end of the test."""
    begun: list[Follower] = []

    def one() -> Follower:
        begun.append(Follower(ready))
        return begun[-1]

    yield one
    for follower in begun:
        follower.end()


@pytest.fixture
def up_again(mock: KafkaMock) -> Iterator[Callable[[float], None]]:
    """Yield a function that starts the brokers again after some seconds, during the test."""
    timers: list[threading.Timer] = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, mock.up))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.cancel()
        timer.join()  # the timer may have started the brokers


def produce(services: FakeServices, n: int = 100) -> None:
    for partition in range(2):
        lines = [Message(b"worker accepted request %d" % i) for i in range(n)]
        services.stream.produce(TOPIC, lines, partition)


class Follower(threading.Thread):
    def __init__(self, services: FakeServices) -> None:
        super().__init__()
        self.services, self.stop = services, threading.Event()
        self.results: list[ScoreResult] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            result = follow_stream(
                self.services,
                FollowOptions(topic=TOPIC, group=GROUP, index=INDEX, batch_size=20),
                should_stop=self.stop.is_set,
                on_result=self.results.append,
                wait_s=0.2,
            )
            self.results.append(result)
        except Exception as exc:  # noqa: BLE001 (the test checks it)
            self.error = exc

    def end(self) -> float:
        """Stop the follower; return the seconds that it took."""
        begun = time.monotonic()
        self.stop.set()
        self.join(60)
        assert not self.is_alive()
        return time.monotonic() - begun

    def metric(self, name: str) -> float:
        return {sample.name: sample.value for sample in self.results[-1].metrics}[name]


def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def is_done(services: FakeServices) -> Callable[[], bool]:
    return lambda: services.stream.lag(GROUP, TOPIC) == 0


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID])
def test_lines_whose_commit_is_refused_are_read_again(
    ready: FakeServices,
    begin: Callable[[], Follower],
    mock: KafkaMock,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    create, refusals = ready.index.create, iter(range(1))

    def refused(*arguments: object) -> object:
        outcome = create(*arguments)  # type: ignore[arg-type]
        if next(refusals, None) is not None:
            mock.fail(OFFSET_COMMIT, code)
        return outcome

    monkeypatch.setattr(ready.index, "create", refused)
    produce(ready)
    follower = begin()
    until(is_done(ready))
    follower.end()
    assert follower.error is None
    assert follower.metric("vigie_stream_rejoins") == 1
    assert ready.index.count(INDEX) == follower.results[-1].read == 200


def test_a_slow_scorer_keeps_its_lease(
    ready: FakeServices, begin: Callable[[], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease has no time limit; it ends when the follower stops."""
    create = ready.index.create

    def slow(*arguments: object) -> object:
        time.sleep(1.0)
        return create(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ready.index, "create", slow)
    produce(ready, 40)
    followers = [begin(), begin()]
    until(is_done(ready))
    for follower in followers:
        follower.end()
        assert follower.error is None
        assert follower.metric("vigie_stream_rejoins") == 0
    assert sum(f.results[-1].indexed for f in followers) == ready.index.count(INDEX) == 80


@pytest.mark.parametrize("away_s", [0.1, 6.0])
def test_a_stop_while_brokers_are_down_takes_about_two_seconds(
    ready: FakeServices, begin: Callable[[], Follower], mock: KafkaMock, away_s: float
) -> None:
    produce(ready)
    follower = begin()
    until(is_done(ready))
    until(lambda: bool(follower.results))
    mock.down()
    time.sleep(away_s)
    assert follower.end() < 4.0
    assert follower.error is None, "everything was committed"
    assert (follower.results[-1].read, follower.results[-1].lag) == (200, None)
    mock.up()


def test_a_stop_during_a_commit_reports_the_uncommitted_lines(
    ready: FakeServices,
    begin: Callable[[], Follower],
    mock: KafkaMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create, stored = ready.index.create, threading.Event()

    def cut_off(*arguments: object) -> object:
        outcome = create(*arguments)  # type: ignore[arg-type]
        mock.down()
        stored.set()
        return outcome

    monkeypatch.setattr(ready.index, "create", cut_off)
    produce(ready, 10)
    follower = begin()
    assert stored.wait(20)
    time.sleep(0.5)
    assert follower.end() < 4.0
    assert isinstance(follower.error, TransientError)
    assert "not committed" in str(follower.error)
    mock.up()


def test_an_outage_of_the_brokers_during_a_commit_is_survived(
    ready: FakeServices,
    up_again: Callable[[float], None],
    begin: Callable[[], Follower],  # requested after up_again: a follower ends before the timer
    mock: KafkaMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create, cuts = ready.index.create, iter(range(1))

    def cut_off(*arguments: object) -> object:
        outcome = create(*arguments)  # type: ignore[arg-type]
        if next(cuts, None) is not None:
            mock.down()
            up_again(3.0)
        return outcome

    monkeypatch.setattr(ready.index, "create", cut_off)
    produce(ready)
    follower = begin()
    until(lambda: ready.index.count(INDEX) == 200)
    until(is_done(ready))
    follower.end()
    assert follower.error is None
    assert follower.results[-1].read == 200


def test_a_follower_waits_for_a_busy_index(
    ready: FakeServices, begin: Callable[[], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeEs() as es:
        monkeypatch.setenv("ELASTICSEARCH_HOST", "127.0.0.1")
        monkeypatch.setenv("ELASTICSEARCH_PORT", str(es.port))
        opened = LazyServices(Settings.from_env(), call_wait_s=0.5)
        ready.index = opened.index  # type: ignore[assignment]
        busy = Fault(times=10_000, answer=BUSY)
        es.faults = [busy]
        produce(ready)
        follower = begin()
        until(lambda: len(es.bulks()) > 8)
        assert ready.stream.lag(GROUP, TOPIC) == 200
        busy.times = 0
        until(is_done(ready))
        follower.end()
        assert follower.error is None
        assert len(es.store.documents[INDEX]) == follower.results[-1].read == 200
        opened.stack.close()


def test_progress_does_not_extend_the_wait_of_a_followers_index() -> None:
    slept: list[float] = []
    patience = Patience(
        total_s=CALL_WAIT_S, is_absolute=True, sleep=slept.append, clock=lambda: sum(slept)
    )
    turns = iter(range(1_000_000))

    def refuse(key: str) -> tuple[int, str, str] | None:
        is_taken = next(turns) % 50 == 0  # some documents are accepted each time
        return None if is_taken else (429, "es_rejected_execution_exception", "queue is full")

    with FakeEs() as es:
        index = EsIndex(es.url, patience=patience)
        index.ensure(DEAD_LETTERS)
        es.faults = [Fault(times=10_000, refuse=refuse)]
        with pytest.raises(TransientError):
            index.create(DEAD_LETTERS.name, [Document(f"d{i}", {}) for i in range(500)])
        index.close()
    assert sum(slept) <= CALL_WAIT_S
