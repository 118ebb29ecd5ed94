"""Let a challenger past only if it beats the champion on rows that neither has learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from vigie import state_keys
from vigie.catalogue import RETRAIN_GATE_PASSED
from vigie.errors import DataError
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.decisions import HOLDOUT, REPORT, dataset_path, decide, decided, staged_files
from vigie.training.fitting import binary_target
from vigie.training.gate import Contender, GateVerdict, compare
from vigie.training.servable import ServableModel, unpack

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport(JobResult):
    """Whether the challenger may be promoted, and the sentences that say why."""

    model: str
    run_id: str
    candidate: str
    promote: bool
    reasons: tuple[str, ...]


def gate_candidate(services: Services, *, model: ModelFile, run_id: str) -> GateReport:
    """Compare the selected candidate with the champion on the run's hold-out; record every number.

    A no is a result: the champion stays, the rows stay unused. The verdict names the deployment
    that it compared with; the promotion is refused if that is not the newest one any more.
    """
    recorded = decided(services, model.name, "gate", run_id)
    if recorded is None:
        recorded = _decide(services, model, run_id)
    return _report(recorded, run_id)


def _decide(services: Services, model: ModelFile, run_id: str) -> Decision:
    selected = decided(services, model.name, "select", run_id)
    if selected is None:
        raise DataError(f"{model.name}: no candidate of run {run_id} was selected")
    candidate = str(selected.facts["candidate"])
    champion = services.deployments.champion(model.name)
    files = staged_files(services, model.name, run_id, candidate)
    files.pop(REPORT)
    frame = pd.read_parquet(dataset_path(services, model.name, run_id))
    verdict = judge(services, model, frame[frame[HOLDOUT]], unpack(files), champion)
    _start_cool_down(services, model, run_id)
    return decide(
        services,
        model=model.name,
        kind="gate",
        run_id=run_id,
        verdict="yes" if verdict.promote else "no",
        reasons=verdict.reasons,
        facts={
            "candidate": candidate,
            "champion_number": champion.number if champion else 0,
            "champion_version": champion.version if champion else None,
            **verdict.facts,
        },
    )


def _start_cool_down(services: Services, model: ModelFile, run_id: str) -> None:
    at = services.now().isoformat()
    services.state.put(state_keys.last_training(model.name), {"at": at, "run_id": run_id})


def judge(
    services: Services,
    model: ModelFile,
    holdout: pd.DataFrame,
    challenger: ServableModel,
    champion: Deployment | None,
) -> GateVerdict:
    """Ask both models the same rows; without a champion the challenger has to beat chance.

    Raises
    ------
    DataError
        The champion's bundle is damaged, or it needs a feature that the rows do not have.
    """
    old = None
    if champion is not None:
        bundle = services.bundles.open(model.name, champion.version)
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
            "hold-out does not have: the model file has changed since it was trained"
        )
    return Contender(name, servable.predict_frame(rows), servable.threshold)


def _report(decision: Decision, run_id: str) -> GateReport:
    promote, labels = decision.verdict == "yes", {"model": decision.model}
    facts: Mapping[str, object] = decision.facts
    return GateReport(
        metrics=[Sample(RETRAIN_GATE_PASSED, float(promote), labels)],
        model=decision.model,
        run_id=run_id,
        candidate=str(facts["candidate"]),
        promote=promote,
        reasons=tuple(decision.reasons),
    )
