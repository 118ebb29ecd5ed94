"""Start and stop the servers that this machine can run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.elastic_node import ElasticNode
from servers.kafka_broker import KafkaBroker
from servers.postgres_server import PostgresServer
from servers.processes import process_of, start, stop
from servers.prometheus_servers import Alertmanager, Prometheus, Pushgateway
from servers.redis_server import RedisServer
from servers.server import Notify, Server
from servers.state import Site, read_site
from vigie.errors import ConflictError, SettingsError, TransientError, VigieError
from vigie.local.folders import take_lock

STOPPED = "the server is not running; start it with: make services"
_READY_S = 120.0
_IN_START_ORDER: tuple[Server, ...] = (
    PostgresServer(),
    KafkaBroker(),
    ElasticNode(),
    RedisServer(),
    Pushgateway(),
    Alertmanager(),
    Prometheus(),
)
SERVERS: Mapping[str, Server] = {server.name: server for server in _IN_START_ORDER}


@dataclass(frozen=True, slots=True)
class Outcome:
    """State of one server after a start; ``version`` is empty if the server is not running."""

    name: str
    version: str
    note: str  # "started", "was running", or why the server is not running
    failed: bool = False


def bring_up(
    root: Path, servers: Sequence[Server], notify: Notify, *, install: bool = True
) -> list[Outcome]:
    """Start the servers that are not running, and wait until each of them answers.

    A server that cannot be installed or does not start does not affect the other servers.
    """
    with _exclusive(root) as site:
        problems: dict[str, VigieError] = {}
        fresh: set[str] = set()
        for server in servers:
            try:
                if process_of(site, server.name) is None:
                    _launch(site, server, notify, install=install)
                    fresh.add(server.name)
            except VigieError as exc:
                problems[server.name] = exc
        outcomes = [_outcome(site, s, problems.get(s.name), s.name in fresh) for s in servers]
        site.write()
        return outcomes


def take_down(root: Path, servers: Sequence[Server], notify: Notify) -> list[str]:
    """Stop the running servers and return their names; their data and ports are kept."""
    with _exclusive(root) as site:
        stopped = []
        for server in reversed(servers):
            if stop(site, server):
                notify(f"Stopped {server.name}.")
                stopped.append(server.name)
                server.tidy(site)
            site.forget(server.name, STOPPED)
            site.write()
        return stopped


@contextmanager
def _exclusive(root: Path) -> Iterator[Site]:
    folder = Site(root).folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = take_lock(folder / "command.lock")
    except ConflictError:
        raise ConflictError("another `make services` or `make services-down` is running") from None
    try:
        yield read_site(root)
    finally:
        os.close(handle)


def _launch(site: Site, server: Server, notify: Notify, *, install: bool) -> None:
    server.obtain(site, notify, install=install)
    for key, default in server.ports.items():
        site.claim(key, default)
    for name in server.secrets:
        site.secret(name)
    site.write()  # The password must be saved before a data folder that needs it exists.
    server.prepare(site)
    notify(f"Starting {server.name} …")
    start(site, server)


def _outcome(site: Site, server: Server, problem: VigieError | None, is_fresh: bool) -> Outcome:
    """Wait until a server answers, and save its address and version."""
    if problem is None:
        try:
            version = _wait(site, server)
        except VigieError as exc:
            problem = exc
            stop(site, server)
        else:
            site.urls[server.name], site.versions[server.name] = server.url(site), version
            site.skipped.pop(server.name, None)
            return Outcome(server.name, version, "started" if is_fresh else "was running")
    site.forget(server.name, str(problem))
    return Outcome(server.name, "", str(problem), failed=not isinstance(problem, SettingsError))


def _wait(site: Site, server: Server) -> str:
    """Wait until the server answers; return the version that it reports."""
    deadline = time.monotonic() + _READY_S
    while True:
        problem = "the process exited"
        try:
            version = server.ask_version(site)
            if process_of(site, server.name) is not None:
                return version
        except TransientError as exc:
            problem = str(exc)
        if process_of(site, server.name) is None or time.monotonic() > deadline:
            log = site.log(server.name)
            words = log.read_text(errors="replace").strip()[-300:]
            raise TransientError(f"{problem}; read {log}: … {words}")
        time.sleep(0.2)
