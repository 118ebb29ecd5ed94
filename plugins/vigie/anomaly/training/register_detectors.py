"""Promote trained detectors that separate at least as well as the ones that score now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vigie import state_keys
from vigie.anomaly.training.staging import read_staged
from vigie.catalogue import DETECTOR_PROMOTED
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import write_copies
from vigie.registry.version_numbers import version_of_run

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResult(JobResult):
    """Versions by detector: promoted now, and those that were not better (a result, not an
    error)."""

    promoted: dict[str, int]
    refused: dict[str, str]


def register_detectors(
    services: Services, *, evaluation: Path, actor: str = "anomaly_model_training"
) -> RegisterResult:
    """Publish, deploy, register and record each detector that passed; record the others' no.

    A retry of the same run changes nothing. A deployment made by somebody else since the evaluation
    is not overwritten: the comparison was with another champion.

    Parameters
    ----------
    services
        ``deployments``, ``bundles``, ``state``, ``tracker`` and ``ledger`` are used.
    evaluation
        What ``evaluate_detectors`` wrote.
    actor
        Who asked, for the ledger.

    Raises
    ------
    ConflictError
        Another champion was deployed meanwhile; train again.
    """
    results = orjson.loads(evaluation.read_bytes())
    run_id, promoted, refused = results["run_id"], dict[str, int](), dict[str, str]()
    for name, result in results["detectors"].items():
        passed, reason = _gate(result)
        notes: tuple[str, ...] = ()
        if passed:
            files = read_staged(evaluation.parent / name)
            deployment, notes = _promote(services, name, files, result, run_id, actor, reason)
            promoted[name] = deployment.version
        else:
            refused[name] = reason
        _record(services, name, result, run_id, actor, promoted.get(name), (reason, *notes))
        log.info("%s: %s", name, reason)
    samples = [
        Sample(DETECTOR_PROMOTED, float(name in promoted), {"model": name})
        for name in results["detectors"]
    ]
    return RegisterResult(promoted=promoted, refused=refused, metrics=samples)


def _gate(result: dict[str, Any]) -> tuple[bool, str]:
    champion, auc = result["champion"], result["challenger"]["auc"]
    if champion["problem"]:
        return True, f"version {champion['version']} cannot be opened: {champion['problem']}"
    if champion["figures"] is None:
        return True, f"first version: area {auc:.4f} on held-out lines"
    before = champion["figures"]["auc"]
    compared = f"area {auc:.4f}, version {champion['version']} has {before:.4f} on the same lines"
    if auc < before:
        return False, f"separates worse: {compared}"
    return True, f"separates at least as well: {compared}"


def _promote(
    services: Services,
    name: str,
    files: dict[str, bytes],
    result: dict[str, Any],
    run_id: str,
    actor: str,
    reason: str,
) -> tuple[Deployment, tuple[str, ...]]:
    """Publish and deploy; a registry that is down is a note, as in every other promotion."""
    facts = orjson.loads(files["detector.json"])
    version = version_of_run(services, name, state_keys.detector_version(name, run_id))
    info = {
        "run_id": run_id,
        "kind": "log_detector",
        "candidate": name,
        "metrics": result["challenger"],
        "threshold": facts["threshold"],
        "mlflow_run": facts["tracked_run"],
        "created_at": facts["created_at"],
    }
    services.bundles.publish(name, version, files, info)
    deployment = _deploy(
        services, name, version, result["champion"]["number"], run_id, actor, reason
    )
    if services.deployments.champion(name) != deployment:
        return deployment, ()  # a try after somebody deployed another one: its copies stay
    return deployment, write_copies(services, deployment, info)


def _deploy(
    services: Services, name: str, version: int, number: int, run_id: str, actor: str, reason: str
) -> Deployment:
    for deployment in services.deployments.history(name):
        if deployment.version == version and deployment.run_id == run_id:
            return deployment
    return services.deployments.deploy(
        name, version, expected_number=number, actor=actor, reason=reason, run_id=run_id
    )


def _record(
    services: Services,
    name: str,
    result: dict[str, Any],
    run_id: str,
    actor: str,
    version: int | None,
    reasons: tuple[str, ...],
) -> None:
    facts = {**result, "version": version}
    services.ledger.record(
        Decision(
            key=f"{run_id}:{name}:gate",
            model=name,
            kind="gate",
            verdict="no" if version is None else "yes",
            reasons=reasons,
            facts=facts,
            actor=actor,
            run_id=run_id,
        )
    )
