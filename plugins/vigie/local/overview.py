"""``vigie status``: what the supervisor knows of each program, as a table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import psutil

from vigie.local.environments import OWN_DATABASES, read_overrides
from vigie.local.processes import memory_mib
from vigie.local.programs import MLFLOW, POSTGRES, PROGRAMS, WORKERS, Program
from vigie.local.state import Platform
from vigie.local.supervision import ProcessState, Supervisor


@dataclass(frozen=True, slots=True)
class Row:
    """One program, as text."""

    name: str
    state: str
    pid: str
    uptime: str
    port: str
    memory: str


def overview(platform: Platform) -> list[Row]:
    """Return a row for each program, whether the platform is up, half up or down."""
    states = Supervisor(platform).states()
    noted = read_overrides(platform) or {}
    absent = {worker for worker in WORKERS if not _was_started(states.get(worker.name))}
    if "MLFLOW_TRACKING_URI" in noted:
        absent.add(MLFLOW)
    if all(name in noted for name in OWN_DATABASES):
        absent.add(POSTGRES)
    return [_row(platform, p, states) for p in PROGRAMS.values() if p not in absent]


def _was_started(known: ProcessState | None) -> bool:
    return known is not None and known.state != "STOPPED"


def _row(platform: Platform, program: Program, states: Mapping[str, ProcessState]) -> Row:
    known = states.get(program.name)
    return Row(
        name=program.name,
        state=known.state if known else "STOPPED",
        pid=str(known.pid) if known and known.pid else "",
        uptime=str(timedelta(seconds=known.uptime_s)) if known and known.uptime_s else "",
        port=str(platform.ports[program.port]) if program.port else "",
        memory=f"{_family_mib(known.pid):.0f} MiB" if known and known.pid else "",
    )


def _family_mib(pid: int) -> float:
    """Return the memory of a process and all below it."""
    try:
        process = psutil.Process(pid)
        return memory_mib([process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0.0
