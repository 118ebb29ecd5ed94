"""The processes of a platform, whoever their parent is now.

All carry a mark in their environment. PostgreSQL overwrites its own (it shows its state there), so
its processes are known by the folder that they work in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from vigie.local.environments import MARK
from vigie.local.state import Platform


def platform_processes(platform: Platform) -> list[psutil.Process]:
    """Return every process of this user that was started by the platform, and is not a zombie."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if _is_ours(process, platform):
                found.append(process)
    return found


def _is_ours(process: psutil.Process, platform: Platform) -> bool:
    if process.pid == os.getpid() or process.uids().real != os.getuid():
        return False
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    if process.name().startswith("postgres"):
        return Path(process.cwd()) == platform.postgres.folder.resolve()
    return process.environ().get(MARK) == platform.mark


def listens(platform: Platform, port: int) -> bool:
    """Tell whether a process of the platform, and not somebody else's, listens on a port."""
    for process in platform_processes(platform):
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def end(processes: Iterable[psutil.Process], patience_s: float = 5) -> int:
    """Ask processes to leave, then kill what is left; return how many there were."""
    asked = list(processes)
    for process in asked:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(asked, timeout=patience_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=patience_s)
    return len(asked)


def memory_mib(processes: Iterable[psutil.Process]) -> float:
    """Return the sum of the proportional set sizes (where the system knows them, else resident)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total / 2**20
