"""Train one candidate on a run's table, track it, and stage it for the gate."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie.catalogue import RETRAIN_CANDIDATE_SCORE, RETRAIN_CANDIDATE_SECONDS
from vigie.drift.reference_profile import build_profile
from vigie.encoding import dumps, write_atomic
from vigie.errors import DataError
from vigie.faults import crash_point
from vigie.records import JobResult, Sample
from vigie.registry.decisions import HOLDOUT, REPORT, dataset_path, staging_folder
from vigie.retraining.merge_training_data import data_hash
from vigie.training.design_matrix import Design
from vigie.training.fitting import FittedCandidate, binary_target, fit_candidate
from vigie.training.metrics import evaluate
from vigie.training.servable import pack

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateReport(JobResult):
    """A staged candidate: where its files are, its figures, and its MLflow run."""

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
) -> CandidateReport:
    """Fit on the rows that are not held out, choose the threshold by cost, measure, track, stage.

    Leaves a folder of bundle files under ``artifacts/MODEL/.staging/RUN_ID/CANDIDATE`` and one
    MLflow run; a second try replaces the files and reopens the run.

    Raises
    ------
    NotEnoughDataError
        Fewer than two distinct rows of a label.
    TransientError
        The tracking server did not answer: nothing is staged that it does not know.
    """
    frame = _table(services, model, run_id)
    started = services.now()
    learn, held = frame[~frame[HOLDOUT]], frame[frame[HOLDOUT]]
    fitted = fit_candidate(candidate, model, learn)
    holdout = _measure(fitted, model, held)
    facts = _facts(services, model, run_id, fitted, holdout, frame)
    run = _track(services, model, fitted, facts, frame)
    files = pack(
        fitted.pipeline,
        model,
        candidate=candidate,
        threshold=fitted.threshold,
        profile=build_profile(frame, model.features),
        sample=learn,
    )
    path = staging_folder(services, model.name, run_id) / candidate
    _stage(path, {**files, REPORT: dumps({**facts, "mlflow_run": run})})
    seconds = (services.now() - started).total_seconds()
    return _report(services, facts, run, path, seconds)


def _table(services: Services, model: ModelFile, run_id: str) -> pd.DataFrame:
    path = dataset_path(services, model.name, run_id)
    if not path.is_file():
        raise DataError(f"{path} is not there: merge the training data of run {run_id} first")
    return pd.read_parquet(path)


def _measure(fitted: FittedCandidate, model: ModelFile, rows: pd.DataFrame) -> dict[str, float]:
    probability = fitted.pipeline.predict_proba(Design.of(model).table(rows))[:, 1]
    return evaluate(binary_target(model, rows), probability, fitted.threshold, model.cost)


def _facts(
    services: Services,
    model: ModelFile,
    run_id: str,
    fitted: FittedCandidate,
    holdout: Mapping[str, float],
    frame: pd.DataFrame,
) -> dict[str, Any]:
    """Return what is recorded of a version; it depends on the run alone, never on the time."""
    return {
        "run_id": run_id,
        "candidate": fitted.name,
        "threshold": fitted.threshold,
        "cross_validated": dict(fitted.metrics),
        "metrics": dict(holdout),  # on the hold-out
        "data_hash": data_hash(frame),
        "dataset": os.path.relpath(dataset_path(services, model.name, run_id), services.paths.data),
        "n_rows": len(frame),
        "n_holdout": int(frame[HOLDOUT].sum()),
        "seed": model.training.seed,
    }


def _track(
    services: Services,
    model: ModelFile,
    fitted: FittedCandidate,
    facts: Mapping[str, Any],
    frame: pd.DataFrame,
) -> str:
    name, run_id = fitted.name, facts["run_id"]
    tags = {
        "vigie.model": model.name,
        "vigie.run_id": run_id,
        "vigie.data_hash": facts["data_hash"],
    }
    with services.tracker.run(model.name, name, tags, key=f"{run_id}:{name}") as run:
        run.log_params(
            {
                "candidate": name,
                "threshold": fitted.threshold,
                "selection_metric": model.training.metric,
                "cost_miss": model.cost.miss,
                "cost_false_alarm": model.cost.false_alarm,
                **{key: facts[key] for key in ("n_rows", "n_holdout", "seed", "dataset")},
            }
        )
        run.log_metrics(_finite("cv_", facts["cross_validated"]))
        run.log_metrics(_finite("holdout_", facts["metrics"]))
        run.log_model(name, fitted.pipeline, Design.of(model).table(frame.head(EXAMPLE_ROWS)))
        return run.run_id


def _finite(prefix: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {prefix + name: value for name, value in figures.items() if math.isfinite(value)}


def _stage(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, the report last: a folder without it is an unfinished one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in sorted(files, key=lambda name: name == REPORT):
        crash_point(f"stage_before_{name}")
        write_atomic(folder / name, files[name])


def _report(
    services: Services, facts: Mapping[str, Any], run: str, path: Path, seconds: float
) -> CandidateReport:
    model, candidate = path.parents[2].name, str(facts["candidate"])
    labels = {"model": model, "candidate": candidate}
    figures = {**_finite("cv_", facts["cross_validated"]), **_finite("holdout_", facts["metrics"])}
    samples = [
        Sample(RETRAIN_CANDIDATE_SCORE, value, {**labels, "figure": name})
        for name, value in figures.items()
    ]
    return CandidateReport(
        metrics=[*samples, Sample(RETRAIN_CANDIDATE_SECONDS, seconds, labels)],
        model=model,
        run_id=str(facts["run_id"]),
        candidate=candidate,
        path=path,
        threshold=float(facts["threshold"]),
        cross_validated=facts["cross_validated"],
        holdout=facts["metrics"],
        mlflow_run=run,
        mlflow_url=services.tracker.run_url(run),
    )
