"""Comparison of a run's challenger with the champion on the hold-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from vigie import state_keys
from vigie.catalogue import RETRAIN_GATE_PASSED
from vigie.errors import DataError
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.decisions import decide, decided
from vigie.retraining.run_files import HOLDOUT, dataset_path, staging_folder
from vigie.training.fitting import binary_target
from vigie.training.gate import Contender, GateVerdict, compare
from vigie.training.servable import ServableModel
from vigie.training.servable_files import unpack
from vigie.training.staging import read_staged

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import BundleStore, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(JobResult):
    """The gate's decision about a candidate, with the reasons."""

    model: str
    run_id: str
    candidate: str
    promote: bool
    reasons: tuple[str, ...]


def gate_candidate(services: Services, *, model: ModelFile, run_id: str) -> GateResult:
    """Compare the selected candidate with the champion; record the decision and its evidence.

    If the gate refuses the challenger, the labelled rows stay unused. The evidence contains the
    number of the champion's deployment, so that the promotion fails if the champion has changed.
    """
    decision = decided(services.ledger, model.name, "gate", run_id)
    decision = decision or _decide(services, model, run_id)
    promote = decision.verdict == "yes"
    return GateResult(
        metrics=[Sample(RETRAIN_GATE_PASSED, float(promote), {"model": decision.model})],
        model=decision.model,
        run_id=run_id,
        candidate=str(decision.evidence["candidate"]),
        promote=promote,
        reasons=tuple(decision.reasons),
    )


def _decide(services: Services, model: ModelFile, run_id: str) -> Decision:
    selected = decided(services.ledger, model.name, "select", run_id)
    if selected is None:
        raise DataError(f"{model.name}: run {run_id} has no selected candidate")
    candidate = str(selected.evidence["candidate"])
    champion = services.deployments.champion(model.name)
    files = read_staged(staging_folder(services.paths, model.name, run_id) / candidate)
    frame = pd.read_parquet(dataset_path(services.paths, model.name, run_id))
    holdout = frame[frame[HOLDOUT]]
    verdict = run_gate(services.bundles, model, holdout, unpack(files), champion)
    at = services.now().isoformat()
    services.state.put(state_keys.last_training(model.name), {"at": at, "run_id": run_id})
    return decide(
        services.ledger,
        model=model.name,
        kind="gate",
        run_id=run_id,
        verdict="yes" if verdict.promote else "no",
        reasons=verdict.reasons,
        evidence={
            "candidate": candidate,
            "champion_number": champion.number if champion else 0,
            "champion_version": champion.version if champion else None,
            **verdict.evidence,
        },
    )


def run_gate(
    bundles: BundleStore,
    model: ModelFile,
    holdout: pd.DataFrame,
    challenger: ServableModel,
    champion: Deployment | None,
) -> GateVerdict:
    """Compare the challenger with the champion, or with chance if there is no champion.

    Raises DataError if the champion's bundle is damaged or the hold-out lacks a feature of either
    model.
    """
    old = None
    if champion is not None:
        bundle = bundles.open(model.name, champion.version)
        old = _contender(f"v{champion.version}", unpack(bundle.files), holdout)
    return compare(
        binary_target(model, holdout),
        _contender("challenger", challenger, holdout),
        old,
        metric=model.training.metric,
        rules=model.gate,
        seed=model.training.seed,
    )


def _contender(name: str, servable: ServableModel, rows: pd.DataFrame) -> Contender:
    if missing := set(servable.feature_names) - set(rows.columns):
        raise DataError(
            f"{name} of {servable.name} needs the features {', '.join(sorted(missing))}, which the "
            "hold-out lacks: the model file has changed since that version was trained"
        )
    return Contender(name, servable.predict_frame(rows), servable.threshold)
