"""Train one detector of log lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.anomaly.scoring.threshold import FACTOR, STD_FLOOR
from vigie.anomaly.training.staging import (
    EXPERIMENT,
    TrainingLines,
    read_training_lines,
    run_key,
    stage,
    training_folder,
)
from vigie.catalogue import DETECTOR_FINAL_LOSS
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.anomaly.detectors.base import Detector
    from vigie.roles import Services, TrackedRun

log = logging.getLogger(__name__)

QUANTILE = 0.995
"""A detector's own threshold: its scores are discrete and heavy-tailed, so that ``mean + 3 std`` of
them lay above every anomaly of BGL or raised 43 % false alarms. A quantile of held-out normal lines
says what it costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport(JobResult):
    """A trained detector, staged as files."""

    detector: str
    folder: str
    dataset: str
    tracked_run: str
    lines: int
    distinct: int
    epochs: int
    final_loss: float | None
    mean_reconstruction_error: float
    threshold: float
    seconds: float


def train_detector(
    services: Services,
    *,
    detector: str,
    dataset: Path,
    run_id: str,
    epochs: int | None = None,
    max_distinct: int = 2000,
    seed: int = 0,
    experiment: str = EXPERIMENT,
) -> TrainReport:
    """Learn from a sample, set the detector's own threshold on other lines, log the run, stage the
    files.

    Leaves ``data/training/detectors/RUN_ID/NAME`` and a tracked run, which a retry opens again.

    Parameters
    ----------
    services
        ``tracker`` and ``paths`` are used.
    detector
        A name of :data:`vigie.anomaly.detectors.base.DETECTORS`.
    dataset
        What ``load_training_logs`` wrote.
    run_id
        Names the folder and, with the detector, the tracked run.
    epochs
        Of the autoencoder; None: its default. Work is bounded besides.
    max_distinct
        The most frequent templates are learned; the others stay unseen.
    seed
        The same sample and seed give the same scores.
    experiment
        Where the run is tracked (``MLFLOW_EXPERIMENT_NAME``).
    """
    from vigie.anomaly.detectors.files import build_detector, pack

    lines = read_training_lines(dataset)
    params: dict[str, Any] = {"seed": seed}
    if detector == LSTM_AUTOENCODER and epochs is not None:
        params["epochs"] = epochs
    started = time.monotonic()
    learned = lines.train.most_common(max_distinct)
    model = build_detector(detector, **params)
    model.fit([line for line, _ in learned], [float(count) for _, count in learned])
    seconds = time.monotonic() - started
    facts = _facts(model, lines, [line for line, _ in learned])
    key = run_key(run_id, detector)
    with services.tracker.run(experiment, detector, {"vigie.run_id": run_id}, key=key) as run:
        _log(run, model, facts, seconds)
        facts |= {"tracked_run": run.run_id, "run_id": run_id}
    facts["created_at"] = services.now().isoformat()
    folder = training_folder(services.paths, "detectors", run_id, detector)
    stage(folder, pack(model, [line for line, _ in learned], facts))
    log.info("trained %s on %d distinct lines in %.1f s", detector, len(learned), seconds)
    return TrainReport(
        detector=detector,
        folder=str(folder),
        dataset=str(dataset),
        tracked_run=facts["tracked_run"],
        lines=facts["lines"],
        distinct=facts["distinct"],
        epochs=len(model.losses),
        final_loss=facts["final_loss"],
        mean_reconstruction_error=facts["mean_reconstruction_error"],
        threshold=facts["threshold"],
        seconds=round(seconds, 3),
        metrics=_samples(detector, facts["final_loss"]),
    )


def _facts(model: Detector, lines: TrainingLines, learned: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    scores = model.score(lines.calibrate)
    mean, std = float(scores.mean()), float(scores.std())
    return {
        "params": dict(model.params),
        "lines": lines.train.total(),
        "distinct": len(learned),
        "distinct_left_out": len(lines.train) - len(learned),
        "final_loss": model.losses[-1] if model.losses else None,
        "mean_reconstruction_error": mean,
        "std_reconstruction_error": std,
        "threshold": float(np.quantile(scores, QUANTILE)),
        "threshold_quantile": QUANTILE,
        "threshold_mean_plus_3_std": mean + FACTOR * max(std, STD_FLOOR),
    }


def _log(run: TrackedRun, model: Detector, facts: dict[str, Any], seconds: float) -> None:
    run.log_params({**facts["params"], "distinct": facts["distinct"], "lines": facts["lines"]})
    for epoch, loss in enumerate(model.losses):
        run.log_metrics({"train_loss": loss}, step=epoch)
    figures = {name: value for name, value in facts.items() if isinstance(value, float)}
    run.log_metrics({**figures, "training_seconds": seconds})
    run.log_model(model.name, *model.view())


def _samples(detector: str, final_loss: float | None) -> list[Sample]:
    if final_loss is None:
        return []
    return [Sample(DETECTOR_FINAL_LOSS, final_loss, {"model": detector})]
