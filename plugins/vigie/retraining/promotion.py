"""Promotion of a run's challenger, or of a published version that a user names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie import state_keys
from vigie.errors import ConflictError, DataError, NotEnoughDataError
from vigie.models.reference import load_reference
from vigie.records import Decision
from vigie.registry.decisions import decided
from vigie.registry.deploy import Deploying, DeployResult, Draft, deploy, record_refusal
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.retraining.gate_candidate import run_gate
from vigie.retraining.run_files import HOLDOUT, REPORT, staging_folder
from vigie.training.servable_files import unpack
from vigie.training.split import holdout_mask
from vigie.training.staging import read_staged

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import ProjectPaths
    from vigie.roles import Ledger, Services
    from vigie.roles.stores import Bundle
    from vigie.training.gate import GateVerdict


def lock_name(model: str) -> str:
    """Return the name of the lock that a promotion, or a retraining in one process, holds."""
    return f"retrain:{model}"


def promote_candidate(
    services: Services, *, model: ModelFile, run_id: str, actor: str = "vigie"
) -> DeployResult:
    """Deploy the challenger of a run if the gate accepted it.

    Raises
    ------
    DataError
        The run has no gate decision.
    NotEnoughDataError
        The gate refused the challenger.
    ConflictError
        Another process changed the champion after the gate's decision; nothing was deployed.
    """
    gate = _accepted(services.ledger, model.name, run_id)
    reconcile_champion(services, model=model.name)
    paths = services.paths
    return deploy(
        services,
        Draft(
            state_keys.model_version(model.name, run_id), lambda: _staged(paths, model.name, gate)
        ),
        Deploying(
            model=model.name,
            kind="promote",
            expected_number=int(gate.evidence["champion_number"]),
            actor=actor,
            reason=gate.reasons[0],
            evidence=gate.evidence,
            run_id=run_id,
        ),
    )


def _accepted(ledger: Ledger, model: str, run_id: str) -> Decision:
    gate = decided(ledger, model, "gate", run_id)
    if gate is None:
        raise DataError(f"{model}: run {run_id} has no gate decision")
    if gate.verdict != "yes":
        raise NotEnoughDataError(
            f"{model}: the gate refused the challenger: {'; '.join(gate.reasons)}"
        )
    return gate


def _staged(
    paths: ProjectPaths, model: str, gate: Decision
) -> tuple[Mapping[str, bytes], Mapping[str, Any]]:
    """Return the files and the info of the staged challenger."""
    folder = staging_folder(paths, model, str(gate.run_id)) / str(gate.evidence["candidate"])
    files = read_staged(folder)
    return files, {**json.loads(files.pop(REPORT)), "gate": dict(gate.evidence)}


def promote_version(
    services: Services,
    *,
    model: ModelFile,
    version: int,
    actor: str,
    reason: str = "",
    force: bool = False,
) -> DeployResult:
    """Compare a published version with the champion; deploy it if the gate accepts it.

    The gate uses the hold-out of the version's training table, or of the reference if that table
    was deleted. With ``force``, a version that the gate refuses is deployed, too. The ledger
    records the deployment or the refusal.

    Raises
    ------
    NotEnoughDataError
        The version is the champion.
    DataError
        The version does not exist or is damaged.
    ConflictError
        The gate refused the version and ``force`` is false, another process changed the champion,
        or another process holds the lock of the model.
    """
    with services.locks.hold(lock_name(model.name)):
        champion = services.deployments.champion(model.name)
        if champion is not None and champion.version == version:
            raise NotEnoughDataError(f"{model.name} v{version} is the champion already")
        bundle = services.bundles.open(model.name, version)
        holdout = _holdout(services.paths, model, bundle)
        verdict = run_gate(services.bundles, model, holdout, unpack(bundle.files), champion)
        outcome = {"gate": "passed" if verdict.promote else "overruled"}
        decision = Deploying(
            model=model.name,
            kind="promote",
            expected_number=champion.number if champion else 0,
            actor=actor,
            reason=reason or _reason(verdict),
            evidence={**outcome, **verdict.evidence},
        )
        if not verdict.promote and not force:
            _refuse(services, decision, version, verdict)
        return deploy(services, bundle, decision)


def _holdout(paths: ProjectPaths, model: ModelFile, bundle: Bundle) -> pd.DataFrame:
    path = paths.data / str(bundle.info.get("dataset", ""))
    if path.is_file():
        frame = pd.read_parquet(path)
        return frame[frame[HOLDOUT]]
    frame = load_reference(model, paths.data)
    share, seed = model.training.holdout_share, model.training.seed
    return frame[holdout_mask(frame, list(model.feature_names), share, seed)]


def _reason(verdict: GateVerdict) -> str:
    against = "" if verdict.promote else " against the gate"
    return f"promoted by hand{against}: {verdict.reasons[0]}"


def _refuse(services: Services, decision: Deploying, version: int, verdict: GateVerdict) -> None:
    evidence = {"version": version, **verdict.evidence}
    record_refusal(services, decision, version, reasons=verdict.reasons, evidence=evidence)
    raise ConflictError(
        f"the gate refused {decision.model} v{version}: {'; '.join(verdict.reasons)}; "
        "use --force to promote it anyway"
    )
