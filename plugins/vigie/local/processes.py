"""Find, end and measure the processes of a platform.

Processes are identified by the variable ``VIGIE_PLATFORM`` in their environment. PostgreSQL
overwrites its environment, so its processes are identified by their working directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from vigie.local.environments import MARK
from vigie.local.state import Platform


def platform_processes(platform: Platform) -> list[psutil.Process]:
    """Return all running processes of the platform, including orphans."""
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
    """Terminate processes, and kill them after ``timeout_s``; return the number of processes."""
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


def wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.5) -> bool:
    """Poll a condition until it is true; return False after ``timeout_s``.

    Examples
    --------
    >>> wait_until(lambda: True, timeout_s=1), wait_until(lambda: False, timeout_s=0)
    (True, False)
    """
    polling = Retrying(
        retry=retry_if_result(lambda is_true: not is_true),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(every_s),
        retry_error_callback=lambda _: False,
    )
    return polling(condition)


def memory_mib(processes: Iterable[psutil.Process]) -> float:
    """Return the memory of the processes in MiB: PSS, or RSS where PSS is unknown."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total / 2**20
