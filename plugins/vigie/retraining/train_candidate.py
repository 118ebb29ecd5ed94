"""Training of one candidate on the training table of a run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie.catalogue import RETRAIN_CANDIDATE_SCORE, RETRAIN_CANDIDATE_SECONDS
from vigie.drift.reference_profile import build_profile
from vigie.encoding import dumps
from vigie.errors import DataError
from vigie.records import JobResult, Sample
from vigie.retraining.merge_training_data import data_hash
from vigie.retraining.run_files import HOLDOUT, REPORT, dataset_path, staging_folder
from vigie.training.design_matrix import Design
from vigie.training.fitting import FittedCandidate, binary_target, fit_candidate
from vigie.training.metrics import evaluate
from vigie.training.servable_files import pack
from vigie.training.staging import stage

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import ProjectPaths
    from vigie.roles import Services, Tracker

EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult(JobResult):
    """A staged candidate: the folder of its files, its metrics and its tracked run."""

    model: str
    run_id: str
    candidate: str
    path: Path
    threshold: float
    cross_validated: Mapping[str, float]
    holdout: Mapping[str, float]
    mlflow_run: str
    mlflow_url: str | None


def train_candidate(
    services: Services, *, model: ModelFile, run_id: str, candidate: str
) -> CandidateResult:
    """Fit a candidate, choose its threshold by cost, and compute its metrics on the hold-out.

    The candidate is logged in a tracked run, and its bundle files are written to
    ``artifacts/MODEL/.staging/RUN_ID/CANDIDATE``. A retry reopens the tracked run and replaces the
    files.

    Raises
    ------
    NotEnoughDataError
        A label has fewer than two distinct rows, or the rows cannot be divided into folds.
    DataError
        The training table of the run does not exist.
    TransientError
        The tracking server did not respond; nothing was staged.
    """
    frame = _table(services.paths, model, run_id)
    started = services.now()
    learn, held = frame[~frame[HOLDOUT]], frame[frame[HOLDOUT]]
    fitted = fit_candidate(candidate, model, learn)
    holdout = _measure(fitted, model, held)
    report = _report(services.paths, model, run_id, fitted, holdout, frame)
    run = _track(services.tracker, model, fitted, report, frame)
    files = pack(
        fitted.pipeline,
        model,
        candidate=candidate,
        threshold=fitted.threshold,
        profile=build_profile(frame, model.feature_types),
        sample=learn,
    )
    path = staging_folder(services.paths, model.name, run_id) / candidate
    stage(path, {**files, REPORT: dumps({**report, "mlflow_run": run})})
    seconds = (services.now() - started).total_seconds()
    return _result(services.tracker, report, run, path, seconds)


def _table(paths: ProjectPaths, model: ModelFile, run_id: str) -> pd.DataFrame:
    path = dataset_path(paths, model.name, run_id)
    if not path.is_file():
        raise DataError(f"{path} does not exist: merge the training data of run {run_id} first")
    return pd.read_parquet(path)


def _measure(fitted: FittedCandidate, model: ModelFile, rows: pd.DataFrame) -> dict[str, float]:
    probability = fitted.pipeline.predict_proba(Design.of(model).table(rows))[:, 1]
    return evaluate(binary_target(model, rows), probability, fitted.threshold, model.cost)


def _report(
    paths: ProjectPaths,
    model: ModelFile,
    run_id: str,
    fitted: FittedCandidate,
    holdout: Mapping[str, float],
    frame: pd.DataFrame,
) -> dict[str, Any]:
    """Return the info of the version, which contains no time and so is the same in a retry."""
    return {
        "run_id": run_id,
        "candidate": fitted.name,
        "threshold": fitted.threshold,
        "cross_validated": dict(fitted.metrics),
        "metrics": dict(holdout),  # on the hold-out
        "data_hash": data_hash(frame),
        "dataset": os.path.relpath(dataset_path(paths, model.name, run_id), paths.data),
        "n_rows": len(frame),
        "n_holdout": int(frame[HOLDOUT].sum()),
        "seed": model.training.seed,
    }


def _track(
    tracker: Tracker,
    model: ModelFile,
    fitted: FittedCandidate,
    report: Mapping[str, Any],
    frame: pd.DataFrame,
) -> str:
    name, run_id = fitted.name, report["run_id"]
    tags = {
        "vigie.model": model.name,
        "vigie.run_id": run_id,
        "vigie.data_hash": report["data_hash"],
    }
    with tracker.run(model.name, name, tags, key=f"{run_id}:{name}") as run:
        run.log_params(
            {
                "candidate": name,
                "threshold": fitted.threshold,
                "selection_metric": model.training.metric,
                "cost_miss": model.cost.miss,
                "cost_false_alarm": model.cost.false_alarm,
                **{key: report[key] for key in ("n_rows", "n_holdout", "seed", "dataset")},
            }
        )
        run.log_metrics(_finite("cv_", report["cross_validated"]))
        run.log_metrics(_finite("holdout_", report["metrics"]))
        run.log_model(name, fitted.pipeline, Design.of(model).table(frame.head(EXAMPLE_ROWS)))
        return run.run_id


def _finite(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}


def _result(
    tracker: Tracker, report: Mapping[str, Any], run: str, path: Path, seconds: float
) -> CandidateResult:
    model, candidate = path.parents[2].name, str(report["candidate"])
    labels = {"model": model, "candidate": candidate}
    metrics = _finite("cv_", report["cross_validated"]) | _finite("holdout_", report["metrics"])
    samples = [
        Sample(RETRAIN_CANDIDATE_SCORE, value, {**labels, "figure": name})
        for name, value in metrics.items()
    ]
    return CandidateResult(
        metrics=[*samples, Sample(RETRAIN_CANDIDATE_SECONDS, seconds, labels)],
        model=model,
        run_id=str(report["run_id"]),
        candidate=candidate,
        path=path,
        threshold=float(report["threshold"]),
        cross_validated=report["cross_validated"],
        holdout=report["metrics"],
        mlflow_run=run,
        mlflow_url=tracker.run_url(run),
    )
