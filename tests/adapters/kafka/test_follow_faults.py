"""A follower and faults that a broker or an index does not make on demand."""

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
from vigie.adapters.kafka import member as kafka_member
from vigie.anomaly.scoring import follow_session
from vigie.anomaly.scoring.follow_stream import INDEX_WAIT_S, FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreReport
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
    stream = MockKafkaStream(mock)
    stream.create_topic(TOPIC, 2)
    services.stream = stream  # type: ignore[assignment]
    yield services
    stream.close()


@pytest.fixture
def begin(ready: FakeServices) -> Iterator[Callable[[], Follower]]:
    """Start followers; whatever a test asserts, they end before the cluster does."""
    begun: list[Follower] = []

    def one() -> Follower:
        begun.append(Follower(ready))
        return begun[-1]

    yield one
    for follower in begun:
        follower.end()


@pytest.fixture
def up_again(mock: KafkaMock) -> Iterator[Callable[[float], None]]:
    """Bring the brokers back after some seconds, unless the test is over before."""
    timers: list[threading.Timer] = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, mock.up))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.cancel()
        timer.join()  # it may be at it just now


def produce(services: FakeServices, n: int = 100) -> None:
    for partition in range(2):
        lines = [Message(b"worker accepted request %d" % i) for i in range(n)]
        services.stream.produce(TOPIC, lines, partition)


class Follower(threading.Thread):
    def __init__(self, services: FakeServices) -> None:
        super().__init__()
        self.services, self.stop = services, threading.Event()
        self.reports: list[ScoreReport] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            report = follow_stream(
                self.services,
                FollowOptions(topic=TOPIC, group=GROUP, index=INDEX, member="m", batch_size=20),
                should_stop=self.stop.is_set,
                on_report=self.reports.append,
                wait_s=0.2,
            )
            self.reports.append(report)
        except Exception as exc:  # noqa: BLE001 (the test looks at it)
            self.error = exc

    def end(self) -> float:
        """Stop it; return how long that took."""
        begun = time.monotonic()
        self.stop.set()
        self.join(60)
        assert not self.is_alive()
        return time.monotonic() - begun

    def figure(self, name: str) -> float:
        return {sample.name: sample.value for sample in self.reports[-1].metrics}[name]


def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def is_done(services: FakeServices) -> Callable[[], bool]:
    return lambda: services.stream.lag(GROUP, TOPIC) == 0


def test_a_commit_that_the_group_refuses_leads_to_a_new_membership(
    ready: FakeServices,
    begin: Callable[[], Follower],
    mock: KafkaMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_member, "MAX_GAP_S", 6.0)  # the mock does not know static members
    produce(ready)
    mock.fail(OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION)
    follower = begin()
    until(is_done(ready))
    follower.end()
    assert follower.error is None
    assert follower.figure("vigie_stream_rejoins") == 1
    assert ready.index.count(INDEX) == follower.reports[-1].read == 200


@pytest.mark.parametrize("away_s", [0.1, 3.0])
def test_a_stop_while_brokers_are_away_takes_about_a_second(
    ready: FakeServices, begin: Callable[[], Follower], mock: KafkaMock, away_s: float
) -> None:
    produce(ready)
    follower = begin()
    until(is_done(ready))
    until(lambda: bool(follower.reports))
    mock.down()
    time.sleep(away_s)
    assert follower.end() < 3.0
    assert follower.error is None, "everything was committed"
    assert (follower.reports[-1].read, follower.reports[-1].lag) == (200, None)
    mock.up()


def test_a_stop_while_the_follower_joins_again_takes_about_a_second(
    ready: FakeServices,
    begin: Callable[[], Follower],
    mock: KafkaMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow_session, "_SILENCE_S", 1.0)
    produce(ready)
    follower = begin()
    until(is_done(ready))
    mock.down()
    time.sleep(6.0)
    assert follower.end() < 3.0
    assert follower.error is None
    mock.up()


def test_a_stop_in_the_middle_of_a_commit_says_what_is_left(
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
    assert follower.end() < 3.0
    assert isinstance(follower.error, TransientError)
    assert "not committed" in str(follower.error)
    mock.up()


def test_a_silence_of_the_brokers_in_the_middle_of_a_commit_is_outlived(
    ready: FakeServices,
    up_again: Callable[[float], None],
    begin: Callable[[], Follower],  # after it: a follower ends first
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
    assert follower.reports[-1].read == 200


def test_an_index_that_is_busy_for_longer_than_the_group_waits_costs_no_membership(
    ready: FakeServices, begin: Callable[[], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_member, "MAX_GAP_S", 6.0)
    with FakeEs() as es:
        monkeypatch.setenv("ELASTICSEARCH_HOST", "127.0.0.1")
        monkeypatch.setenv("ELASTICSEARCH_PORT", str(es.port))
        opened = LazyServices(Settings.from_env(), index_wait_s=1.0)
        ready.index = opened.index  # type: ignore[assignment]
        busy = Fault(times=10_000, answer=BUSY)
        es.faults = [busy]
        produce(ready)
        follower = begin()
        until(lambda: len(es.bulks()) > 3)
        time.sleep(12.0)  # twice the gap
        assert ready.stream.lag(GROUP, TOPIC) == 200
        busy.times = 0
        until(is_done(ready))
        follower.end()
        assert follower.error is None
        assert follower.figure("vigie_stream_rejoins") == 0
        assert follower.figure("vigie_stream_poll_gap_seconds") < 3.0
        assert len(es.store.documents[INDEX]) == follower.reports[-1].read == 200
        opened.stack.close()


def test_a_followers_index_is_back_before_the_group_gives_it_up() -> None:
    assert 2 * INDEX_WAIT_S < kafka_member.MAX_GAP_S / 3


def test_the_wait_of_a_followers_index_is_not_renewed_by_progress() -> None:
    slept: list[float] = []
    patience = Patience(
        total_s=INDEX_WAIT_S, is_absolute=True, sleep=slept.append, clock=lambda: sum(slept)
    )
    turns = iter(range(1_000_000))

    def refuse(key: str) -> tuple[int, str, str] | None:
        is_taken = next(turns) % 50 == 0  # some progress each time
        return None if is_taken else (429, "es_rejected_execution_exception", "queue is full")

    with FakeEs() as es:
        index = EsIndex(es.url, patience=patience)
        index.ensure(DEAD_LETTERS)
        es.faults = [Fault(times=10_000, refuse=refuse)]
        with pytest.raises(TransientError):
            index.create(DEAD_LETTERS.name, [Document(f"d{i}", {}) for i in range(500)])
        index.close()
    assert sum(slept) <= INDEX_WAIT_S
