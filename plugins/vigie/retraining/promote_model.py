"""Make a run's challenger the champion, if the gate said yes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie import state_keys
from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import ConflictError, DataError, NotEnoughDataError
from vigie.faults import crash_point
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import write_copies
from vigie.registry.decisions import REPORT, decide, decided, staged_files
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.registry.version_numbers import version_of_run

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteReport(JobResult):
    """The version that a run made champion, and what could not be told to the registry."""

    model: str
    run_id: str
    version: int
    number: int
    previous_version: int | None
    notes: tuple[str, ...]


def promote_model(
    services: Services, *, model: ModelFile, run_id: str, actor: str = "vigie"
) -> PromoteReport:
    """Publish the challenger as a new version, deploy it by compare-and-swap, write the copies.

    Killed anywhere, the old champion or the new one answers, never a part of one; the next try goes
    on with the same version. The swap expects the champion that the gate compared with.

    Raises
    ------
    NotEnoughDataError
        The gate said no: there is nothing to promote.
    ConflictError
        Somebody else changed the champion since the gate looked; nothing was changed.
    """
    gate = _gate(services, model.name, run_id)
    reconcile_champion(services, model=model.name)
    version = version_of_run(services, model.name, state_keys.model_version(model.name, run_id))
    info = _publish(services, model.name, run_id, version, gate)
    crash_point("promote_after_publish")
    deployment = _deploy_once(services, gate, version, actor)
    crash_point("promote_after_deploy")
    notes: tuple[str, ...] = ()
    if services.deployments.champion(model.name) == deployment:
        notes = write_copies(services, deployment, info)
    decide(
        services,
        model=model.name,
        kind="promote",
        run_id=run_id,
        verdict="yes",
        reasons=[deployment.reason, *notes],
        facts={"version": version, "previous_version": deployment.previous_version, **gate.facts},
        actor=actor,
    )
    return _report(deployment, run_id, notes)


def _gate(services: Services, model: str, run_id: str) -> Decision:
    gate = decided(services, model, "gate", run_id)
    if gate is None:
        raise DataError(f"{model}: run {run_id} has not been through the gate")
    if gate.verdict != "yes":
        raise NotEnoughDataError(f"the gate refused {model}: {'; '.join(gate.reasons)}")
    return gate


def _publish(
    services: Services, model: str, run_id: str, version: int, gate: Decision
) -> Mapping[str, Any]:
    """Publish the staged files; what is recorded with them depends on the run alone."""
    if version in services.bundles.versions(model):  # an earlier try's; the staging may be swept
        info = services.bundles.open(model, version).info
        if info.get("run_id") != run_id:
            raise ConflictError(
                f"{model} v{version} was published by run {info.get('run_id')} meanwhile; does "
                "another platform write to this ARTIFACTS_DIR?"
            )
        return info
    files = staged_files(services, model, run_id, gate.facts["candidate"])
    info = {**json.loads(files.pop(REPORT)), "gate": dict(gate.facts)}
    services.bundles.publish(model, version, files, info)
    return info


def _deploy_once(services: Services, gate: Decision, version: int, actor: str) -> Deployment:
    """Deploy, unless an earlier try of this run did."""
    model, run_id = gate.model, str(gate.run_id)
    for known in services.deployments.history(model):
        if known.run_id == run_id and known.version == version:
            return known
    try:
        return services.deployments.deploy(
            model,
            version,
            expected_number=int(gate.facts["champion_number"]),
            actor=actor,
            reason=gate.reasons[0],
            run_id=run_id,
        )
    except ConflictError as exc:
        decide(
            services,
            model=model,
            kind="promote",
            run_id=run_id,
            verdict="no",
            reasons=[f"somebody else was faster: {exc}"],
            facts={"version": version, "champion_number": gate.facts["champion_number"]},
            actor=actor,
        )
        raise


def _report(deployment: Deployment, run_id: str, notes: tuple[str, ...]) -> PromoteReport:
    log.info("%s v%d is champion: %s", deployment.model, deployment.version, deployment.reason)
    return PromoteReport(
        metrics=[Sample(CHAMPION_VERSION, float(deployment.version), {"model": deployment.model})],
        model=deployment.model,
        run_id=run_id,
        version=deployment.version,
        number=deployment.number,
        previous_version=deployment.previous_version,
        notes=notes,
    )
