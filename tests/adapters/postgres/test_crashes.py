"""State after ``kill -9`` of a worker or of the server."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from vigie.adapters.postgres import SqlLocks, SqlPredictions, open_engine
from vigie.adapters.postgres.index import PgIndex
from vigie.adapters.postgres.stream import PgStream
from vigie.errors import ConflictError, TransientError
from vigie.local.postgres import EmbeddedPostgres
from vigie.records import Document, IndexSpec, Message, Position
from vigie.testing.contracts.record_stores import prediction

_HEADER = """
import sys, time
from vigie.adapters.postgres.index import PgIndex
from vigie.adapters.postgres.stream import PgStream
from vigie.adapters.postgres import SqlLocks, open_engine
from vigie.records import Document, Position
engine = open_engine(sys.argv[1])
def stay():
    print("ready", flush=True)
    time.sleep(600)
"""
_CONSUMER = """
index = PgIndex(engine)
with PgStream(engine).consumer("g", "t") as consumer:
    for batch in range(int(sys.argv[2])):
        records = consumer.poll(10)
        index.create("docs", [Document(f"t-0-{r.offset}", {"n": r.offset}) for r in records])
        if batch == int(sys.argv[2]) - 1:
            stay()
        consumer.commit({0: Position(records[-1].offset + 1, f"batch {batch}")})
"""
_HOLDER = """
with SqlLocks(engine).hold("retrain:fraud"):
    stay()
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def _killed(script: str, url: str, *arguments: str) -> None:
    """Run a script until it prints ``ready``, then kill its process."""
    command = [sys.executable, "-I", "-c", _HEADER + script, url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()


def test_after_a_killed_consumer_the_next_one_reads_exactly_its_lines_again(
    engine: Engine, database_url: str
) -> None:
    stream, index = PgStream(engine), PgIndex(engine)
    stream.create_topic("t")
    stream.produce("t", [Message(b"line %d" % n) for n in range(45)])
    index.ensure(IndexSpec("docs", {"n": "integer"}))
    for n_batches in ("1", "3", "2"):  # The last batch is indexed, but not committed.
        _killed(_CONSUMER, database_url, n_batches)
    again = 0
    with stream.consumer("g", "t") as consumer:
        assert consumer.committed() == {0: Position(30, "batch 0")}
        while records := consumer.poll(10):
            documents = [Document(f"t-0-{r.offset}", {"n": r.offset}) for r in records]
            again += index.create("docs", documents).already_there
            consumer.commit({0: Position(records[-1].offset + 1)})
    assert again == 10
    assert [d.body["n"] for d in index.scan("docs")] == sorted(range(45), key=str)
    assert stream.lag("g", "t") == 0


def test_the_lock_of_a_killed_process_is_released(engine: Engine, database_url: str) -> None:
    _killed(_HOLDER, database_url)
    with SqlLocks(engine).hold("retrain:fraud", wait_s=5):
        pass


def test_a_refused_lock_names_its_holder(engine: Engine, database_url: str) -> None:
    locks = SqlLocks(engine)
    with locks.hold("x"), pytest.raises(ConflictError, match=f"pid {os.getpid()}"), locks.hold("x"):
        pass


def test_a_lost_session_ends_its_block_without_an_error(engine: Engine) -> None:
    with SqlLocks(engine).hold("x"), engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    with SqlLocks(engine).hold("x"):
        pass


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """Return a durable server for tests that kill it."""
    from vigie.adapters.postgres.migrate import upgrade

    server = EmbeddedPostgres(tmp_path / "postgres", secrets.token_hex(8))
    server.start()
    upgrade(server.url("postgres"))
    yield server
    server.stop()


def _kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    children = postmaster.children(recursive=True)
    os.kill(server.pid, signal.SIGKILL)
    psutil.wait_procs(children, timeout=30)
    server.stop()  # Remove the killed process.


def test_every_acknowledged_prediction_survives_a_killed_server(
    own_server: EmbeddedPostgres,
) -> None:
    engine = open_engine(own_server.url("postgres"))
    store, acknowledged = SqlPredictions(engine), 0
    for _ in range(3):
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            assert store.add(prediction(acknowledged)) == acknowledged
            acknowledged += 1
        _kill(own_server)
        with pytest.raises(TransientError, match="vigie up"):
            store.count()
        own_server.start()
        assert store.count() == acknowledged, "and the same engine works again"
    offsets = [event.offset for event in store.page(0, acknowledged + 1)]
    assert offsets == list(range(acknowledged))
    engine.dispose()


def test_a_consumer_continues_after_a_restart_of_the_server(own_server: EmbeddedPostgres) -> None:
    engine = open_engine(own_server.url("postgres"))
    stream = PgStream(engine)
    stream.create_topic("t")
    stream.produce("t", [Message(b"x")] * 20)
    with stream.consumer("g", "t") as consumer:
        consumer.commit({0: Position(len(consumer.poll(5)))})
        _kill(own_server)
        with pytest.raises(TransientError):
            consumer.commit({0: Position(6)})
        own_server.start()
        assert [record.offset for record in consumer.poll(2)] == [5, 6]
        consumer.commit({0: Position(7)})
        with stream.consumer("g", "t") as successor:  # The lease ended with the old session.
            assert successor.committed() == {0: Position(7)}
            with pytest.raises(ConflictError):  # The fencing token rejects the old member.
                consumer.commit({0: Position(8)})
    engine.dispose()
