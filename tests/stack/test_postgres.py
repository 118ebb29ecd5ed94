"""The embedded PostgreSQL: kills, concurrent starts, stale files, logins."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest

from vigie.errors import ConflictError
from vigie.local.postgres import EmbeddedPostgres

PASSWORD = "pass word@/%"
KILLS = 20


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., EmbeddedPostgres]]:
    """Create servers in a path with blanks and special characters."""
    made: list[EmbeddedPostgres] = []

    def _make(name: str = "postgres", password: str = PASSWORD) -> EmbeddedPostgres:
        server = EmbeddedPostgres(tmp_path / "my clone, 100 %" / name, password)
        made.append(server)
        return server

    yield _make
    for server in made:
        server.stop()


def connect(server: EmbeddedPostgres) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host=str(server.sockets), user="postgres", password=server.password, dbname="postgres"
    )


def execute(server: EmbeddedPostgres, statement: str) -> list[tuple[int]]:
    connection = connect(server)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Writer(threading.Thread):
    """Inserts 1, 2, 3 …, one per transaction, until the server ends."""

    def __init__(self, server: EmbeddedPostgres, first: int) -> None:
        super().__init__()
        self.server, self.first = server, first
        self.acknowledged: list[int] = []
        self.sent = first - 1
        self.has_begun = threading.Event()

    def run(self) -> None:
        connection = connect(self.server)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                while True:
                    self.sent += 1
                    cursor.execute("INSERT INTO rows VALUES (%s)", (self.sent,))
                    self.acknowledged.append(self.sent)
                    if len(self.acknowledged) == 20:
                        self.has_begun.set()
        except psycopg2.Error:
            connection.close()


def test_every_acknowledged_row_survives_kill_9_under_load(
    make: Callable[..., EmbeddedPostgres],
) -> None:
    server = make()
    server.start()
    execute(server, "CREATE TABLE rows (n bigint PRIMARY KEY)")
    acknowledged: set[int] = set()
    sent: set[int] = set()
    for _ in range(KILLS):
        writer = Writer(server, first=max(sent, default=0) + 1)
        writer.start()
        assert writer.has_begun.wait(20)
        os.kill(server.pid or 0, signal.SIGKILL)
        writer.join()
        server.stop()
        server.start()
        acknowledged |= set(writer.acknowledged)
        sent |= set(range(writer.first, writer.sent + 1))
    found = {row[0] for row in execute(server, "SELECT n FROM rows")}
    assert acknowledged <= found <= sent
    assert len(sent - acknowledged) == KILLS  # the row in flight at each kill may be stored or not


def test_one_of_two_concurrent_starts_succeeds(make: Callable[..., EmbeddedPostgres]) -> None:
    servers = [make(), make()]

    def start(server: EmbeddedPostgres) -> bool:
        try:
            server.start()
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(start, servers))
    assert sorted(outcomes) == [False, True]
    assert all(server.is_running() for server in servers)


def test_a_stale_pid_file_of_a_running_process_is_removed(
    make: Callable[..., EmbeddedPostgres],
) -> None:
    server = make()
    server.start()
    pid_file = server.folder / "postmaster.pid"
    found = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getppid()), *found[1:]]) + "\n")
    (server.folder.parent / "postgres.log").unlink()
    server.start()
    assert server.is_running()


def test_a_server_that_vigie_did_not_start_is_left_running(
    make: Callable[..., EmbeddedPostgres],
) -> None:
    first, second = make(), make()
    first.start()
    (first.folder / "vigie.lock").unlink()  # only the pid file is left
    with pytest.raises(ConflictError, match="did not start"):
        second.start()
    assert first.is_running()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_login_requires_the_password(
    make: Callable[..., EmbeddedPostgres], password: str
) -> None:
    server = make()
    server.start()
    with pytest.raises(psycopg2.OperationalError, match=r"password|authentication"):
        psycopg2.connect(
            host=str(server.sockets), user="postgres", password=password, dbname="postgres"
        )


def test_no_port_is_open(make: Callable[..., EmbeddedPostgres]) -> None:
    server = make()
    server.start()
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    found = []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend that has just ended
            found += process.net_connections("inet")
    assert found == []


def test_two_checkouts_run_concurrently(make: Callable[..., EmbeddedPostgres]) -> None:
    servers = [make("one"), make("two")]
    for server in servers:
        server.start()
        execute(server, "CREATE TABLE mine (n bigint)")
    assert servers[0].sockets != servers[1].sockets


def test_stop_leaves_no_process_and_no_socket(make: Callable[..., EmbeddedPostgres]) -> None:
    server = make()
    server.start()
    family = psutil.Process(server.pid).children(recursive=True)
    server.stop()
    assert not psutil.wait_procs(family, timeout=5)[1]
    assert not server.sockets.exists()
