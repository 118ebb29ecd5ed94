"""``vigie down``: nothing of the platform is left, however it got into the state it is in."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from vigie.local.database import Tell, exclusive
from vigie.local.processes import end, platform_processes
from vigie.local.state import Platform
from vigie.local.supervision import Supervisor

# What runs tasks gets 15 s, then the others 8 s together; PostgreSQL, without clients, needs one.
_PATIENCE_S = 27


def take_down(platform: Platform, *, tell: Tell) -> int:
    """Stop every program and the supervisor; return how many processes had to be ended by hand."""
    with exclusive(platform, tell):
        supervisor = Supervisor(platform)
        if supervisor.is_running():
            supervisor.shutdown()
            _wait_for_the_end(platform)
        left = end(platform_processes(platform))
        _remove_sockets(platform.sockets)
        _remove_sockets(platform.postgres.sockets)
        return left


def _wait_for_the_end(platform: Platform) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while platform_processes(platform) and time.monotonic() < deadline:
        time.sleep(0.2)


def _remove_sockets(folder: Path) -> None:
    """Remove a private folder below /tmp with what killed servers left in it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
