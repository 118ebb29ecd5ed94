"""Promote a trained detector unless its area under the curve is below the champion's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vigie import state_keys
from vigie.catalogue import DETECTOR_PROMOTED
from vigie.records import JobResult, Sample
from vigie.registry.decisions import decide
from vigie.registry.deploy import Deploying, Draft, deploy
from vigie.training.staging import read_staged

if TYPE_CHECKING:
    from vigie.roles import Ledger, Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResult(JobResult):
    """Version of each promoted detector, and reason for the refusal of each other detector."""

    promoted: dict[str, int]
    refused: dict[str, str]


def register_detectors(
    services: Services, *, evaluation: Path, actor: str = "anomaly_model_training"
) -> RegisterResult:
    """Deploy each detector that passes the gate; record a refusal for each that does not.

    ``evaluation`` is the file that ``evaluate_detectors`` wrote. A repeated call with the same file
    changes nothing. A refusal is not an error.

    Raises
    ------
    ConflictError
        Another process deployed a champion after the evaluation. Train the detectors again.
    """
    results = orjson.loads(evaluation.read_bytes())
    run_id, promoted, refused = results["run_id"], dict[str, int](), dict[str, str]()
    for name, result in results["detectors"].items():
        passed, reason = _gate(result)
        if passed:
            draft = _draft(name, run_id, evaluation.parent / name, result)
            decision = _decision(name, run_id, result, reason, actor)
            promoted[name] = deploy(services, draft, decision).version
        else:
            refused[name] = reason
            _record_refusal(services.ledger, name, run_id, result, reason, actor)
        log.info("%s: %s", name, reason)
    names = results["detectors"]
    samples = [Sample(DETECTOR_PROMOTED, float(n in promoted), {"model": n}) for n in names]
    return RegisterResult(promoted=promoted, refused=refused, metrics=samples)


def _gate(result: Mapping[str, Any]) -> tuple[bool, str]:
    champion, auc = result["champion"], result["challenger"]["auc"]
    if champion["problem"]:
        return True, f"version {champion['version']} cannot be opened: {champion['problem']}"
    if champion["figures"] is None:
        return True, f"first version: AUC {auc:.4f} on held-out lines"
    before = champion["figures"]["auc"]
    compared = f"AUC {auc:.4f}, version {champion['version']} has {before:.4f} on the same lines"
    if auc < before:
        return False, f"separates worse than the champion: {compared}"
    return True, f"separates at least as well as the champion: {compared}"


def _record_refusal(
    ledger: Ledger, name: str, run_id: str, result: Mapping[str, Any], reason: str, actor: str
) -> None:
    decide(
        ledger,
        model=name,
        kind="gate",
        run_id=run_id,
        verdict="no",
        reasons=[reason],
        evidence={**result, "version": None},
        actor=actor,
    )


def _decision(
    name: str, run_id: str, result: Mapping[str, Any], reason: str, actor: str
) -> Deploying:
    return Deploying(
        model=name,
        kind="gate",
        expected_number=result["champion"]["number"],
        actor=actor,
        reason=reason,
        evidence=result,
        run_id=run_id,
    )


def _draft(name: str, run_id: str, folder: Path, result: Mapping[str, Any]) -> Draft:
    def read() -> tuple[Mapping[str, bytes], Mapping[str, Any]]:
        files = read_staged(folder)
        trained = orjson.loads(files["detector.json"])
        return files, {
            "run_id": run_id,
            "kind": "log_detector",
            "candidate": name,
            "metrics": result["challenger"],
            "threshold": trained["threshold"],
            "mlflow_run": trained["tracked_run"],
            "created_at": trained["created_at"],
        }

    return Draft(state_keys.detector_version(name, run_id), read)
