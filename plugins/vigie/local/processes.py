"""The processes of a platform: find them, end them, measure their memory.

Every process has a mark in its environment. PostgreSQL overwrites its environment with its process
title, so its processes are identified by their working directory.
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
    """Return the running processes that belong to the platform, whatever their parent is."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if _belongs(process, platform):
                found.append(process)
    return found


def _belongs(process: psutil.Process, platform: Platform) -> bool:
    if process.pid == os.getpid() or process.uids().real != os.getuid():
        return False
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    if process.name().startswith("postgres"):
        return Path(process.cwd()) == platform.postgres.folder.resolve()
    return process.environ().get(MARK) == platform.mark


def listens(platform: Platform, port: int) -> bool:
    """Return whether a process of the platform listens on a port."""
    for process in platform_processes(platform):
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def end(processes: Iterable[psutil.Process], timeout_s: float = 5) -> int:
    """Terminate processes, kill those still running after ``timeout_s``, return their number."""
    running = list(processes)
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(running, timeout=timeout_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=timeout_s)
    return len(running)


def memory_mib(processes: Iterable[psutil.Process]) -> float:
    """Return the sum of proportional set sizes, or of resident set sizes where unavailable."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total / 2**20
