"""Compare trained detectors with each other and with the ones that score now."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.base import DETECTORS
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.training.staging import (
    EXPERIMENT,
    evaluation_path,
    read_staged,
    read_training_lines,
    run_key,
    training_folder,
)
from vigie.catalogue import DETECTOR_FALSE_ALARMS, DETECTOR_SEPARATION
from vigie.encoding import dumps, write_atomic
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport(JobResult):
    """Where the figures are, and which detector separates best."""

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
    detectors: Sequence[str] = DETECTORS,
    experiment: str = EXPERIMENT,
) -> EvaluationReport:
    """Measure challengers and champions on the same held-out lines; write ``evaluation.json``
    beside them.

    The anomalies are synthetic corruptions (:class:`detectors.separation.Separation` says what
    that means).
    """
    held_out = read_training_lines(dataset).test
    results = {name: _evaluate(services, run_id, name, held_out, experiment) for name in detectors}
    path = evaluation_path(services.paths, run_id)
    write_atomic(path, dumps({"run_id": run_id, "detectors": results}))
    figures = {name: result["challenger"] for name, result in results.items()}
    best = max(figures, key=lambda name: (figures[name]["auc"], name))
    log.info("%s separates best: %s", best, figures[best])
    return EvaluationReport(
        evaluation=str(path),
        best=best,
        auc=_column(figures, "auc"),
        false_alarm_rate=_column(figures, "false_alarm_rate"),
        detection_rate=_column(figures, "detection_rate"),
        metrics=[sample for name, found in figures.items() for sample in _samples(name, found)],
    )


def _evaluate(
    services: Services, run_id: str, name: str, held_out: Sequence[str], experiment: str
) -> dict[str, Any]:
    from vigie.anomaly.detectors.files import read_facts, unpack
    from vigie.anomaly.detectors.separation import separation

    files = read_staged(training_folder(services.paths, "detectors", run_id, name))
    facts = read_facts(files)
    found = separation(unpack(files), held_out, facts["threshold"]).as_facts()
    key = run_key(run_id, name)
    with services.tracker.run(experiment, name, key=key) as run:
        run.log_metrics({f"test_{figure}": float(value) for figure, value in found.items()})
    return {"challenger": found, "champion": _champion(services, name, held_out)}


def _champion(services: Services, name: str, held_out: Sequence[str]) -> dict[str, Any]:
    """Return the champion's figures and deployment number; ``number`` 0: there is none."""
    from vigie.anomaly.detectors.separation import separation

    try:
        champion = champion_detector(services, name)
    except NotEnoughDataError:
        return {"number": 0, "version": None, "figures": None, "problem": None}
    except DataError as exc:
        deployment = services.deployments.champion(name)
        number, version = (deployment.number, deployment.version) if deployment else (0, None)
        return {"number": number, "version": version, "figures": None, "problem": str(exc)}
    found = separation(champion.detector, held_out, champion.facts["threshold"])
    return {
        "number": champion.deployment.number,
        "version": champion.version,
        "figures": found.as_facts(),
        "problem": None,
    }


def _column(figures: dict[str, dict[str, Any]], name: str) -> dict[str, float]:
    return {detector: float(found[name]) for detector, found in figures.items()}


def _samples(name: str, found: dict[str, Any]) -> list[Sample]:
    labels = {"model": name}
    return [
        Sample(DETECTOR_SEPARATION, found["auc"], labels),
        Sample(DETECTOR_FALSE_ALARMS, found["false_alarm_rate"], labels),
    ]
