"""Start every server that this machine can run; stop them all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.processes import process_of, start, stop
from servers.server import Server, Tell
from servers.state import Site, read_site
from vigie.errors import ConflictError, SettingsError, TransientError, VigieError
from vigie.local.folders import take_lock

STOPPED = "it does not run; start it with: make services"
_READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one server; without a version it does not run and ``note`` says why."""

    name: str
    version: str
    note: str
    failed: bool = False


def bring_up(
    root: Path, servers: Sequence[Server], tell: Tell, *, install: bool = True
) -> list[Outcome]:
    """Start what does not run yet, and wait until each server answers a real question.

    One server that cannot be had or does not start leaves the others as they are.
    """
    with _exclusive(root) as site:
        problems: dict[str, VigieError] = {}
        fresh: set[str] = set()
        for server in servers:
            try:
                if process_of(site, server.name) is None:
                    _launch(site, server, tell, install=install)
                    fresh.add(server.name)
            except VigieError as exc:
                problems[server.name] = exc
        outcomes = [_outcome(site, s, problems.get(s.name), s.name in fresh) for s in servers]
        site.write()
        return outcomes


def take_down(root: Path, servers: Sequence[Server], tell: Tell) -> list[str]:
    """Stop every server that runs, and return their names. Data and ports are kept."""
    with _exclusive(root) as site:
        stopped = []
        for server in reversed(servers):
            if stop(site, server):
                tell(f"Stopped {server.name}.")
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
        raise ConflictError("another `make services` or `make services-down` runs") from None
    try:
        yield read_site(root)
    finally:
        os.close(handle)


def _launch(site: Site, server: Server, tell: Tell, *, install: bool) -> None:
    server.obtain(site, tell, install=install)
    for key, default in server.ports.items():
        site.claim(key, default)
    for name in server.secrets:
        site.secret(name)
    site.write()  # a folder must never outlive the only copy of its password
    server.prepare(site)
    tell(f"Starting {server.name} …")
    start(site, server)


def _outcome(site: Site, server: Server, problem: VigieError | None, is_fresh: bool) -> Outcome:
    """Wait for a server that was started, and record what is known of it."""
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
    """Return the version that the server's own process answers with."""
    deadline = time.monotonic() + _READY_S
    while True:
        problem = "it ended"
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
