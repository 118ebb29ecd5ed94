"""The process supervisor: ``supervisord``, its configuration and its private socket."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from vigie.encoding import write_atomic
from vigie.errors import TransientError
from vigie.local.environments import MARK
from vigie.local.folders import private_folder
from vigie.local.programs import PLATFORM, PROGRAMS, TASKS, Program
from vigie.local.state import Platform

# No path of the user stands in here: they are relative to the folder that supervisord runs in, and
# the interpreter comes from the environment, so blanks, percent signs and semicolons do no harm.
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
# At the end supervisord stops the group of the highest number, waits for it, and goes on.
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
    """What the supervisor knows of one program."""

    name: str
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, …
    pid: int | None
    uptime_s: int | None
    problem: str


class Supervisor:
    """The supervisor of one platform, running or not."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.socket = platform.sockets / "supervisor.sock"

    def is_running(self) -> bool:
        """Tell whether it answers."""
        try:
            self._call("supervisor.getState")
        except TransientError:
            return False
        return True

    def start(self) -> None:
        """Run it as a daemon, with no program started yet; do nothing if it answers."""
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
        """Return supervisord's configuration; it holds no secret and no path of the user's."""
        user = "user=root\n" if os.getuid() == 0 else ""
        groups = [
            _GROUP.format(
                name=group,
                programs=",".join(p.name for p in PROGRAMS.values() if p.group == group),
                priority=priority,
            )
            for group, priority in ((TASKS, 20), (PLATFORM, 10))
        ]
        return (
            _HEAD.format(socket=self.socket, user=user)
            + "".join(groups)
            + "".join(
                _PROGRAM.format(
                    name=program.name,
                    signal=program.stop_signal,
                    wait=program.stop_wait_s,
                    # PostgreSQL tells its own children; a signal to each would cancel queries.
                    as_group=str(bool(program.group)).lower(),
                )
                for program in PROGRAMS.values()
            )
        )

    def states(self) -> dict[str, ProcessState]:
        """Return the state of every program; empty while the supervisor is not running."""
        try:
            found: list[dict[str, Any]] = self._call("supervisor.getAllProcessInfo")
        except TransientError:
            return {}
        return {info["name"]: _process_state(info) for info in found}

    def launch(self, program: Program) -> None:
        """Start a program; do nothing if it runs. Returns before the program is ready."""
        with _expected(Faults.ALREADY_STARTED):
            self._call("supervisor.startProcess", program.process, False)

    def halt(self, program: Program, *, wait: bool = False) -> None:
        """Stop a program; do nothing if it does not run."""
        with _expected(Faults.NOT_RUNNING):
            self._call("supervisor.stopProcess", program.process, wait)

    def shutdown(self) -> None:
        """Stop every program and then the supervisor itself. Returns before it is gone."""
        with _expected(Faults.SHUTDOWN_STATE):
            self._call("supervisor.shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call the supervisor over a connection of its own, so that threads may."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        proxy = ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy, method)(*arguments)
        except (OSError, http.client.HTTPException) as exc:
            raise TransientError("the platform's supervisor is not running; run: vigie up") from exc
        finally:
            transport.close()

    def log(self, program: Program) -> Path:
        """Return where a program's output goes."""
        return self.platform.folder / "logs" / f"{program.name}.log"


@contextlib.contextmanager
def _expected(code: int) -> Iterator[None]:
    """Let a fault pass that says that there is nothing to do."""
    try:
        yield
    except Fault as fault:
        if fault.faultCode != code:
            raise TransientError(f"the supervisor refused: {fault.faultString}") from fault


def _process_state(info: dict[str, Any]) -> ProcessState:
    running = info["statename"] in ("RUNNING", "STARTING", "STOPPING")
    return ProcessState(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"] or None,
        uptime_s=info["now"] - info["start"] if running else None,
        problem=info["spawnerr"] or ("" if running else info["description"]),
    )
