"""Deploy a version: the one place where a version becomes champion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import ConflictError
from vigie.faults import crash_point
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import write_copies
from vigie.registry.decisions import decision_key
from vigie.roles.stores import Bundle

if TYPE_CHECKING:
    from vigie.roles import BundleStore, DeploymentStore, Services, StateStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that a run has trained and that is not published yet.

    Parameters
    ----------
    version_key
        State key of the version number, from :mod:`vigie.state_keys`; it contains the run's id.
    read
        Returns the files and the info of the version. Not called if an earlier try published it,
        because the staged files may have been removed since.
    """

    version_key: str
    read: Callable[[], tuple[Mapping[str, bytes], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """The decision to deploy a version.

    Parameters
    ----------
    kind
        Kind of the ledger entry.
    expected_number
        Number of the deployment that the decision was based on; 0: there was none.
    evidence
        Values for the ledger entry; the version numbers are added.
    run_id
        The run that decides; a retry of the same run reuses its version and its deployment.
    notes
        Sentences for the ledger entry and the result, besides those about the copies.
    """

    model: str
    kind: str
    expected_number: int
    actor: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployResult(JobResult):
    """The new champion; ``notes`` lists, among others, the copies that could not be written."""

    model: str
    run_id: str
    version: int
    number: int
    previous_version: int | None
    notes: tuple[str, ...]


def deploy(services: Services, source: Draft | Bundle, decision: Deploying) -> DeployResult:
    """Publish the version if it is a draft, make it champion, write the copies and the decision.

    The deployment is a compare-and-swap on the deployment's number. If the process is killed at any
    point, either the old or the new champion is complete, and a retry of the same run continues
    with the same version. The copies are written only while this deployment is the newest one.

    Raises
    ------
    ConflictError
        Another process deployed since ``expected_number``; nothing was changed, and the decision is
        recorded with the verdict ``no``.
    """
    bundle = source if isinstance(source, Bundle) else _publish(services, source, decision)
    crash_point("promote_after_publish")
    deployment = _known(services.deployments, decision, bundle.version)
    if deployment is None:
        deployment = _swap(services, decision, bundle.version)
    crash_point("promote_after_deploy")
    notes = decision.notes
    if services.deployments.champion(decision.model) == deployment:
        copies = write_copies(services.bundles, services.tracker, deployment, bundle.info)
        notes = (*notes, *copies)
    _record(services, decision, deployment, notes)
    log.info("%s v%d is champion: %s", deployment.model, deployment.version, deployment.reason)
    return DeployResult(
        metrics=[Sample(CHAMPION_VERSION, float(deployment.version), {"model": deployment.model})],
        model=deployment.model,
        run_id=decision.run_id or "",
        version=deployment.version,
        number=deployment.number,
        previous_version=deployment.previous_version,
        notes=notes,
    )


def _publish(services: Services, draft: Draft, decision: Deploying) -> Bundle:
    bundles, model = services.bundles, decision.model
    version = _version_of_run(services.state, services.deployments, bundles, model, draft)
    if version not in bundles.versions(model):
        bundles.publish(model, version, *draft.read())
    bundle = bundles.open(model, version)
    if bundle.info.get("run_id") != decision.run_id:
        raise ConflictError(
            f"{model} v{version} was published by run {bundle.info.get('run_id')} at the same "
            "time; check that no other platform writes to this ARTIFACTS_DIR"
        )
    return bundle


def _version_of_run(
    state: StateStore,
    deployments: DeploymentStore,
    bundles: BundleStore,
    model: str,
    draft: Draft,
) -> int:
    """Return the version number of the run; its first try allocates the number.

    The artifacts folder can be older than the database (a new database, or two platforms that
    shared the folder), so numbers of published versions are skipped.
    """
    known = state.get(draft.version_key)
    if known is not None:
        return int(known["version"])
    published = set(bundles.versions(model))
    version = deployments.next_version(model)
    while version in published:
        version = deployments.next_version(model)
    state.put(draft.version_key, {"version": version})
    return version


def _known(deployments: DeploymentStore, decision: Deploying, version: int) -> Deployment | None:
    """Return the deployment that an earlier try of this run made."""
    if decision.run_id is None:
        return None
    for known in deployments.history(decision.model):
        if known.run_id == decision.run_id and known.version == version:
            return known
    return None


def _swap(services: Services, decision: Deploying, version: int) -> Deployment:
    try:
        return services.deployments.deploy(
            decision.model,
            version,
            expected_number=decision.expected_number,
            actor=decision.actor,
            reason=decision.reason,
            run_id=decision.run_id,
        )
    except ConflictError as exc:
        record_refusal(
            services,
            decision,
            version,
            reasons=[f"another process changed the champion: {exc}"],
            evidence={"version": version, "champion_number": decision.expected_number},
        )
        raise


def record_refusal(
    services: Services,
    decision: Deploying,
    version: int,
    *,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
) -> None:
    """Record that a version was not deployed."""
    at = services.now().isoformat()
    model, kind, run_id = decision.model, decision.kind, decision.run_id
    key = decision_key(run_id, model, kind) if run_id else f"{kind}:{model}:{version}:{at}"
    services.ledger.record(
        Decision(
            key=key,
            model=model,
            kind=kind,
            verdict="no",
            reasons=tuple(reasons),
            evidence=evidence,
            actor=decision.actor,
            run_id=run_id,
        )
    )


def _record(
    services: Services, decision: Deploying, deployment: Deployment, notes: tuple[str, ...]
) -> None:
    model, kind, run_id = decision.model, decision.kind, decision.run_id
    key = f"deployment:{model}:{deployment.number}"
    services.ledger.record(
        Decision(
            key=decision_key(run_id, model, kind) if run_id else key,
            model=model,
            kind=kind,
            verdict="yes",
            reasons=(deployment.reason, *notes),
            evidence={
                "version": deployment.version,
                "previous_version": deployment.previous_version,
                **decision.evidence,
            },
            actor=decision.actor,
            run_id=run_id,
        )
    )
