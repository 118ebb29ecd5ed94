"""Deployment of a version as champion."""

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
    from vigie.roles import BundleStore, DeploymentStore, Ledger, Services, StateStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """A trained version that is not published yet.

    ``version_key`` is the state key under which the run stores the version number. ``read`` returns
    the files and the info of the version. If the version was already published, a retry does not
    call ``read``, because the staged files may have been removed.
    """

    version_key: str
    read: Callable[[], tuple[Mapping[str, bytes], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """The decision to deploy a version.

    Parameters
    ----------
    expected_number
        Number of the champion's deployment when the decision was made; 0 if there was no champion.
    evidence
        Values for the ledger entry; :func:`deploy` adds the version numbers.
    run_id
        Id of the retraining run, or None. A retry of the run reuses the version and the deployment
        of the first attempt.
    notes
        Sentences for the ledger entry and the result; :func:`deploy` adds sentences about copies.
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
    """The new champion; ``notes`` includes the copies that could not be written."""

    model: str
    run_id: str
    version: int
    number: int
    previous_version: int | None
    notes: tuple[str, ...]


def deploy(services: Services, source: Draft | Bundle, decision: Deploying) -> DeployResult:
    """Publish a draft, deploy the version as champion, write the copies and record the decision.

    The deployment succeeds only if the newest deployment still has the number ``expected_number``.
    If the process is killed, either the old or the new champion is complete, and a retry of the run
    continues with the same version. The copies are written only if this deployment is the newest.

    Raises
    ------
    ConflictError
        Another process has deployed a version since the decision; the champion is unchanged, and
        the ledger contains the decision with the verdict ``no``. Or another run published this
        version.
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
    _record_deployment(services.ledger, decision, deployment, notes)
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
            f"{model} v{version} was published by run {bundle.info.get('run_id')}, not by "
            f"{decision.run_id}; check that no other platform writes to this ARTIFACTS_DIR"
        )
    return bundle


def _version_of_run(
    state: StateStore,
    deployments: DeploymentStore,
    bundles: BundleStore,
    model: str,
    draft: Draft,
) -> int:
    """Return the version number of the run; the first attempt allocates it.

    Numbers of versions that are already published are skipped, because a new database counts from 1
    again.
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
    """Return the deployment that an earlier attempt of this run made, if any."""
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
    """Record in the ledger that a version was not deployed, and why."""
    at = services.now().isoformat()
    key = f"{decision.kind}:{decision.model}:{version}:{at}"
    _record(services.ledger, decision, key, "no", reasons, evidence)


def _record_deployment(
    ledger: Ledger, decision: Deploying, deployment: Deployment, notes: Sequence[str]
) -> None:
    key = f"deployment:{deployment.model}:{deployment.number}"
    versions = {"version": deployment.version, "previous_version": deployment.previous_version}
    evidence = {**versions, **decision.evidence}
    _record(ledger, decision, key, "yes", (deployment.reason, *notes), evidence)


def _record(
    ledger: Ledger,
    decision: Deploying,
    key: str,
    verdict: str,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
) -> None:
    """Record a decision in the ledger, under ``key`` if the decision belongs to no run."""
    model, kind, run_id = decision.model, decision.kind, decision.run_id
    ledger.record(
        Decision(
            key=decision_key(run_id, model, kind) if run_id else key,
            model=model,
            kind=kind,
            verdict=verdict,
            reasons=tuple(reasons),
            evidence=evidence,
            actor=decision.actor,
            run_id=run_id,
        )
    )
