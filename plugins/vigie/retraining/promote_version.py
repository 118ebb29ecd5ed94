"""Make a published version champion by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import ConflictError, NotEnoughDataError
from vigie.models.reference import load_reference
from vigie.records import Decision, Deployment, Sample
from vigie.registry.champion_copies import write_copies
from vigie.registry.decisions import HOLDOUT, lock_name
from vigie.retraining.gate_candidate import judge
from vigie.retraining.promote_model import PromoteReport
from vigie.training.gate import GateVerdict
from vigie.training.servable import unpack
from vigie.training.split import holdout_mask

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.roles.artifacts import Bundle


def promote_version(
    services: Services,
    *,
    model: ModelFile,
    version: int,
    actor: str,
    reason: str = "",
    force: bool = False,
) -> PromoteReport:
    """Verify the bundle, ask the gate, deploy by compare-and-swap; every outcome is recorded.

    The gate compares on the hold-out of the table that the version was trained with, or of the
    reference when that table is gone; rows keep their side in both.

    Raises
    ------
    NotEnoughDataError
        The version is champion already.
    DataError
        The version does not exist or is damaged.
    ConflictError
        The gate refused (not with ``force``), or somebody else was faster.
    """
    with services.locks.hold(lock_name(model.name)):
        champion = services.deployments.champion(model.name)
        if champion is not None and champion.version == version:
            raise NotEnoughDataError(f"{model.name} v{version} is champion already")
        bundle = services.bundles.open(model.name, version)
        verdict = judge(
            services, model, _holdout(services, model, bundle), unpack(bundle.files), champion
        )
        if not verdict.promote and not force:
            _refuse(services, model.name, version, verdict, actor)
        deployment = services.deployments.deploy(
            model.name,
            version,
            expected_number=champion.number if champion else 0,
            actor=actor,
            reason=reason or _reason(verdict),
        )
        notes = write_copies(services, deployment, bundle.info)
        _record(services, deployment, verdict, notes)
    return _report(deployment, notes)


def _report(deployment: Deployment, notes: tuple[str, ...]) -> PromoteReport:
    labels = {"model": deployment.model}
    return PromoteReport(
        metrics=[Sample(CHAMPION_VERSION, float(deployment.version), labels)],
        model=deployment.model,
        run_id="",
        version=deployment.version,
        number=deployment.number,
        previous_version=deployment.previous_version,
        notes=notes,
    )


def _holdout(services: Services, model: ModelFile, bundle: Bundle) -> pd.DataFrame:
    path = services.paths.data / str(bundle.info.get("dataset", ""))
    if path.is_file():
        frame = pd.read_parquet(path)
        return frame[frame[HOLDOUT]]
    frame = load_reference(model, services.paths.data)
    share, seed = model.training.holdout_share, model.training.seed
    return frame[holdout_mask(frame, list(model.feature_names), share, seed)]


def _reason(verdict: GateVerdict) -> str:
    if verdict.promote:
        return f"promoted by hand: {verdict.reasons[0]}"
    return f"promoted by hand against the gate: {verdict.reasons[0]}"


def _refuse(services: Services, model: str, version: int, verdict: GateVerdict, actor: str) -> None:
    now = services.now().isoformat()
    services.ledger.record(
        Decision(
            key=f"promote:{model}:{version}:{now}",
            model=model,
            kind="promote",
            verdict="no",
            reasons=verdict.reasons,
            facts={"version": version, **verdict.facts},
            actor=actor,
        )
    )
    raise ConflictError(
        f"the gate refused {model} v{version}: {'; '.join(verdict.reasons)}; "
        "--force promotes it all the same"
    )


def _record(
    services: Services, deployment: Deployment, verdict: GateVerdict, notes: tuple[str, ...]
) -> None:
    services.ledger.record(
        Decision(
            key=f"deployment:{deployment.model}:{deployment.number}",
            model=deployment.model,
            kind="promote",
            verdict="yes",
            reasons=(deployment.reason, *notes),
            facts={
                "version": deployment.version,
                "previous_version": deployment.previous_version,
                "gate": "passed" if verdict.promote else "overruled",
                **verdict.facts,
            },
            actor=deployment.actor,
        )
    )
