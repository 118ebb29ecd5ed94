"""The process supervisor: ``supervisord``, its configuration and the states of its programs."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from vigie.encoding import write_atomic
from vigie.errors import TransientError
from vigie.local.environments import MARK, OWN_DATABASES, read_overrides
from vigie.local.folders import private_folder
from vigie.local.processes import memory_mib
from vigie.local.programs import MLFLOW, PLATFORM, POSTGRES, PROGRAMS, TASKS, WORKERS, Program
from vigie.local.state import Platform

# All paths are relative to supervisord's working directory, and the interpreter comes from the
# environment. So the path of the project may contain blanks, percent signs and semicolons.
_HEAD = """\
[supervisord]
logfile=../logs/supervisor.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=supervisor.pid
childlogdir=.
umask=077
{user}
[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

"""
# On shutdown, supervisord stops one group after the other; the highest priority number is first.
_GROUP = """
[group:{name}]
programs={programs}
priority={priority}
"""
_PROGRAM = """
[program:{name}]
command="%(ENV_VIGIE_PYTHON)s" -I -m vigie.local.launch {name}
autostart=false
autorestart=true
startsecs=2
startretries=5
stopsignal={signal}
stopwaitsecs={wait}
stopasgroup={as_group}
killasgroup=true
redirect_stderr=true
stdout_logfile=../logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
priority=1
"""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The state of one program as the supervisor reports it."""

    name: str
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, …
    pid: int | None
    uptime_s: int | None
    problem: str


class Supervisor:
    """Client of a platform's supervisor, which may or may not be running."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.socket = platform.sockets / "supervisor.sock"

    def is_running(self) -> bool:
        """Return whether the supervisor responds."""
        try:
            self._call("supervisor.getState")
        except TransientError:
            return False
        return True

    def start(self) -> None:
        """Start supervisord as a daemon without any program; do nothing if it is running."""
        if self.is_running():
            return
        folder = self.platform.folder / "run"
        for made in (folder, self.platform.folder / "logs"):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_folder(self.platform.sockets)
        write_atomic(folder / "supervisord.conf", self.configuration())
        own = {"VIGIE_HOME": str(self.platform.root), "VIGIE_PYTHON": sys.executable}
        done = subprocess.run(
            [sys.executable, "-I", "-m", "supervisor.supervisord", "-c", "supervisord.conf"],
            cwd=folder,
            env=os.environ | own | {MARK: self.platform.mark},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TransientError(f"the supervisor did not start: {done.stderr.strip()}")

    def configuration(self) -> str:
        """Return supervisord's configuration; it has no secrets and no absolute project path."""
        user = "user=root\n" if os.getuid() == 0 else ""
        groups = [
            _GROUP.format(
                name=group,
                programs=",".join(p.name for p in PROGRAMS.values() if p.group == group),
                priority=priority,
            )
            for group, priority in ((TASKS, 20), (PLATFORM, 10))
        ]
        programs = [
            _PROGRAM.format(
                name=program.name,
                signal=program.stop_signal,
                wait=program.stop_wait_s,
                # PostgreSQL signals its own children; a signal to the group would cancel queries.
                as_group=str(bool(program.group)).lower(),
            )
            for program in PROGRAMS.values()
        ]
        return "".join([_HEAD.format(socket=self.socket, user=user), *groups, *programs])

    def states(self) -> dict[str, ProcessState]:
        """Return the state of every program; empty if the supervisor is not running."""
        try:
            found: list[dict[str, Any]] = self._call("supervisor.getAllProcessInfo")
        except TransientError:
            return {}
        return {info["name"]: _process_state(info) for info in found}

    def launch(self, program: Program) -> None:
        """Start a program unless it is running; return before the program is ready."""
        with _expected(Faults.ALREADY_STARTED):
            self._call("supervisor.startProcess", program.process, False)

    def halt(self, program: Program, *, wait: bool = False) -> None:
        """Stop a program if it is running; with ``wait``, return after the program has ended."""
        with _expected(Faults.NOT_RUNNING):
            self._call("supervisor.stopProcess", program.process, wait)

    def shutdown(self) -> None:
        """Ask the supervisor to stop every program and itself; return before it has ended."""
        with _expected(Faults.SHUTDOWN_STATE):
            self._call("supervisor.shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call the supervisor over a new connection, because connections are not thread-safe."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        proxy = ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy, method)(*arguments)
        except (OSError, http.client.HTTPException) as exc:
            raise TransientError("the platform's supervisor is not running; run: vigie up") from exc
        finally:
            transport.close()

    def log(self, program: Program) -> Path:
        """Return the path of a program's log file."""
        return self.platform.folder / "logs" / f"{program.name}.log"


@contextlib.contextmanager
def _expected(code: int) -> Iterator[None]:
    """Ignore the fault with this code; raise TransientError for any other fault."""
    try:
        yield
    except Fault as fault:
        if fault.faultCode != code:
            raise TransientError(f"the supervisor reported: {fault.faultString}") from fault


def _process_state(info: dict[str, Any]) -> ProcessState:
    running = info["statename"] in ("RUNNING", "STARTING", "STOPPING")
    return ProcessState(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"] or None,
        uptime_s=info["now"] - info["start"] if running else None,
        problem=info["spawnerr"] or ("" if running else info["description"]),
    )


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One program in the table of ``vigie status``."""

    name: str
    state: str
    pid: str
    uptime: str
    port: str
    memory: str


def status_rows(platform: Platform) -> list[StatusRow]:
    """Return a row for each program, without unused workers and replaced servers."""
    states = Supervisor(platform).states()
    overrides = read_overrides(platform) or {}
    unused = {worker for worker in WORKERS if not _was_started(states.get(worker.name))}
    if "MLFLOW_TRACKING_URI" in overrides:
        unused.add(MLFLOW)
    if all(name in overrides for name in OWN_DATABASES):
        unused.add(POSTGRES)
    return [_row(platform, p, states) for p in PROGRAMS.values() if p not in unused]


def _was_started(known: ProcessState | None) -> bool:
    return known is not None and known.state != "STOPPED"


def _row(platform: Platform, program: Program, states: Mapping[str, ProcessState]) -> StatusRow:
    known = states.get(program.name)
    return StatusRow(
        name=program.name,
        state=known.state if known else "STOPPED",
        pid=str(known.pid) if known and known.pid else "",
        uptime=str(timedelta(seconds=known.uptime_s)) if known and known.uptime_s else "",
        port=str(platform.ports[program.port]) if program.port else "",
        memory=f"{_tree_mib(known.pid):.0f} MiB" if known and known.pid else "",
    )


def _tree_mib(pid: int) -> float:
    """Return the memory of a process and its descendants."""
    try:
        process = psutil.Process(pid)
        return memory_mib([process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0.0
