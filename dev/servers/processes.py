"""Start, identify and stop server processes.

A process is identified by its id and its start time, so that an unrelated process that reuses the
id of a dead server is never stopped.
"""

from __future__ import annotations

import os
import subprocess

import psutil

from servers.server import Server
from servers.state import Site

_SAME_START_S = 0.05  # the kernel's clock tick, rounded up
_PATIENCE_S = 30.0
# Keep the handles: Popen warns if the handle of a running process is garbage-collected.
_started: list[subprocess.Popen[bytes]] = []


def process_of(site: Site, name: str) -> psutil.Process | None:
    """Return the process of a server; None if the server is not running."""
    pid, started = site.pids.get(name), site.started.get(name)
    if pid is None or started is None:
        return None
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started) < _SAME_START_S
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def start(site: Site, server: Server) -> psutil.Process:
    """Start a server in its own session and save its process id immediately."""
    log = site.log(server.name)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            server.command(site),
            cwd=site.home(server.name),
            env=os.environ | dict(server.environment(site)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _started.append(child)
    process = psutil.Process(child.pid)
    site.pids[server.name] = child.pid
    site.started[server.name] = process.create_time()
    site.write()
    return process


def stop(site: Site, server: Server, patience_s: float = _PATIENCE_S) -> bool:
    """Stop a server and its child processes; return whether the server was running."""
    process = process_of(site, server.name)
    if process is None:
        return False
    family = [process, *process.children(recursive=True)]
    process.send_signal(server.stop_signal)
    _, left = psutil.wait_procs(family, timeout=patience_s)
    for late in left:
        late.kill()
    psutil.wait_procs(left, timeout=patience_s)
    return True
