"""Compare newly trained detectors with deployed detectors on held-out lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import DETECTORS, read_manifest, unpack
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.training.dataset import (
    EXPERIMENT,
    evaluation_path,
    read_training_lines,
    run_key,
    training_folder,
)
from vigie.catalogue import DETECTOR_FALSE_ALARMS, DETECTOR_SEPARATION
from vigie.encoding import dumps, write_atomic
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import JobResult, Sample
from vigie.training.staging import read_staged

if TYPE_CHECKING:
    from vigie.roles import Services, Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult(JobResult):
    """Path of the evaluation, best challenger by ``auc``, and metrics of each challenger."""

    evaluation: str
    best: str
    auc: dict[str, float]
    false_alarm_rate: dict[str, float]
    detection_rate: dict[str, float]


def evaluate_detectors(
    services: Services,
    *,
    run_id: str,
    dataset: Path,
    detectors: Sequence[str] = tuple(DETECTORS),
    experiment: str = EXPERIMENT,
) -> EvaluationResult:
    """Measure challengers and champions on the same held-out lines; write ``evaluation.json``.

    The challengers are the detectors that the run ``run_id`` trained on the sample ``dataset``. The
    file is written to the folder of that run. The anomalies are synthetic corruptions, see
    :class:`vigie.anomaly.detectors.separation.Separation`.
    """
    held_out = read_training_lines(dataset).test
    results: dict[str, dict[str, Any]] = {}
    for name in detectors:
        files = read_staged(training_folder(services.paths, "detectors", run_id, name))
        challenger = _challenger(files, held_out)
        _track(services.tracker, experiment, name, run_key(run_id, name), challenger)
        champion = _champion(services, name, held_out)
        results[name] = {"challenger": challenger, "champion": champion}
    path = evaluation_path(services.paths, run_id)
    write_atomic(path, dumps({"run_id": run_id, "detectors": results}))
    return _result(path, {name: result["challenger"] for name, result in results.items()})


def _challenger(files: Mapping[str, bytes], held_out: Sequence[str]) -> dict[str, Any]:
    from vigie.anomaly.detectors.separation import separation

    threshold = read_manifest(files)["threshold"]
    return separation(unpack(files), held_out, threshold).as_metrics()


def _track(
    tracker: Tracker, experiment: str, name: str, key: str, metrics: Mapping[str, float]
) -> None:
    with tracker.run(experiment, name, key=key) as run:
        run.log_metrics({f"test_{metric}": float(value) for metric, value in metrics.items()})


def _champion(services: Services, name: str, held_out: Sequence[str]) -> dict[str, Any]:
    """Return the champion's metrics, version and deployment number (0 if there is no champion)."""
    from vigie.anomaly.detectors.separation import separation

    try:
        champion = champion_detector(services, name)
    except NotEnoughDataError:
        return {"number": 0, "version": None, "figures": None, "problem": None}
    except DataError as exc:
        deployment = services.deployments.champion(name)
        number, version = (deployment.number, deployment.version) if deployment else (0, None)
        return {"number": number, "version": version, "figures": None, "problem": str(exc)}
    found = separation(champion.detector, held_out, champion.manifest["threshold"])
    return {
        "number": champion.deployment.number,
        "version": champion.version,
        "figures": found.as_metrics(),
        "problem": None,
    }


def _result(path: Path, metrics: Mapping[str, Mapping[str, Any]]) -> EvaluationResult:
    def column(metric: str) -> dict[str, float]:
        return {name: float(found[metric]) for name, found in metrics.items()}

    auc, alarms = column("auc"), column("false_alarm_rate")
    best = max(auc, key=lambda name: (auc[name], name))
    log.info("%s separates normal and corrupted lines best: %s", best, metrics[best])
    return EvaluationResult(
        evaluation=str(path),
        best=best,
        auc=auc,
        false_alarm_rate=alarms,
        detection_rate=column("detection_rate"),
        metrics=[
            Sample(metric, values[name], {"model": name})
            for metric, values in ((DETECTOR_SEPARATION, auc), (DETECTOR_FALSE_ALARMS, alarms))
            for name in values
        ],
    )
