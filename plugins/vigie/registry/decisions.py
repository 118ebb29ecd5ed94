"""What the steps of a retraining share: where a run's files are, and what it has already decided.

Every path and key contains the run's id, and a run decides each question once: a task that is tried
again finds what the first try wrote, and goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError
from vigie.records import Decision

if TYPE_CHECKING:
    from vigie.roles import Services

_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
HOLDOUT = "holdout"  # columns of a training table besides the features and the target
ROW_ID = "row_id"
ORIGIN = "origin"
REPORT = "report.json"  # beside a staged candidate's files


def checked_run(run_id: str) -> str:
    """Return the id of a run, which names files and folders.

    Raises
    ------
    DataError
        It could lead out of the folder it is meant for, or is too long for a file's name.
    """
    if not _RUN.fullmatch(run_id):
        raise DataError(f"not a run's id: {run_id[:80]!r}; expected up to 200 of A-Z a-z 0-9 _ . -")
    return run_id


def dataset_path(services: Services, model: str, run_id: str) -> Path:
    """Return where a run's training table is."""
    return services.paths.data / "training" / model / f"{checked_run(run_id)}.parquet"


def staging_folder(services: Services, model: str, run_id: str) -> Path:
    """Return where a run's fitted candidates wait for the gate."""
    return services.paths.artifacts / model / ".staging" / checked_run(run_id)


def staged_files(services: Services, model: str, run_id: str, candidate: str) -> dict[str, bytes]:
    """Read a staged candidate. Raises DataError when it is not (or no longer) there."""
    folder = staging_folder(services, model, run_id) / candidate
    if not (folder / REPORT).is_file():
        raise DataError(f"{folder} is not there: train {candidate} in run {run_id} first")
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


def lock_name(model: str) -> str:
    """Return the lock that everything which changes a model's champion by training holds."""
    return f"retrain:{model}"


def decided(services: Services, model: str, kind: str, run_id: str) -> Decision | None:
    """Return what a run decided, if it did."""
    key = _key(model, kind, run_id)
    found = services.ledger.decisions(model=model, kind=kind, run_id=run_id)
    return next((d for d in found if d.key == key), None)


def decide(
    services: Services,
    *,
    model: str,
    kind: str,
    run_id: str,
    verdict: str,
    reasons: Sequence[str],
    facts: Mapping[str, Any] | None = None,
    actor: str = "vigie",
) -> Decision:
    """Record a run's decision and return the one that counts: the first that was recorded."""
    decision = Decision(
        key=_key(model, kind, run_id),
        model=model,
        kind=kind,
        verdict=verdict,
        reasons=tuple(reasons),
        facts=facts or {},
        actor=actor,
        run_id=run_id,
    )
    services.ledger.record(decision)
    return decided(services, model, kind, run_id) or decision


def _key(model: str, kind: str, run_id: str) -> str:
    return f"{run_id}:{model}:{kind}"
