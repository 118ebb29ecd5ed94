"""Train one detector of anomalous log lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import build_detector, pack
from vigie.anomaly.scoring.threshold import FACTOR, STD_FLOOR
from vigie.anomaly.training.dataset import (
    EXPERIMENT,
    TrainingLines,
    read_training_lines,
    run_key,
    training_folder,
)
from vigie.catalogue import DETECTOR_FINAL_LOSS
from vigie.records import JobResult, Sample
from vigie.training.staging import stage

if TYPE_CHECKING:
    from vigie.anomaly.detectors.registry import Detector
    from vigie.roles import Services, TrackedRun

log = logging.getLogger(__name__)

QUANTILE = 0.995
"""The threshold of a detector is this quantile of its scores on held-out normal lines. The scores
are discrete and heavy-tailed: on BGL, ``mean + 3 std`` was above every anomaly or caused 43 % false
alarms. The expected false alarm rate of the quantile is known: 0.5 %."""

_FROM_MANIFEST = (
    *("tracked_run", "lines", "distinct"),
    *("final_loss", "mean_reconstruction_error", "threshold"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult(JobResult):
    """Folder, tracked run and metrics of a trained detector."""

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
) -> TrainResult:
    """Train a detector on a sample, and compute its threshold from held-out lines of the sample.

    Write the detector to ``data/training/detectors/RUN_ID/NAME``, and log parameters and metrics to
    a tracked run, which a retry continues.

    Parameters
    ----------
    services
        ``tracker``, ``paths`` and ``now`` are used.
    detector
        A name of :data:`vigie.anomaly.detectors.registry.DETECTORS`.
    dataset
        The sample that ``load_training_logs`` wrote.
    run_id
        Name of the folder ``RUN_ID``; with the detector's name, also the key of the tracked run.
    epochs
        Maximum number of epochs; None: the detector's default. Ignored by a detector without
        epochs.
    max_distinct
        Maximum number of templates to train on; the most frequent ones are used.
    seed
        Seed of the training. The same sample and seed give the same scores on one machine, unless
        the training reaches its time limit.
    experiment
        Name of the experiment of the tracked run (``MLFLOW_EXPERIMENT_NAME``).
    """
    lines = read_training_lines(dataset)
    started = time.monotonic()
    learned = lines.train.most_common(max_distinct)
    model = build_detector(detector, epochs=epochs, seed=seed)
    model.fit([line for line, _ in learned], [float(count) for _, count in learned])
    seconds = time.monotonic() - started
    manifest = _manifest(model, lines, len(learned))
    key = run_key(run_id, detector)
    with services.tracker.run(experiment, detector, {"vigie.run_id": run_id}, key=key) as run:
        _log(run, model, manifest, seconds)
        manifest |= {"tracked_run": run.run_id, "run_id": run_id}
    manifest["created_at"] = services.now().isoformat()
    folder = training_folder(services.paths, "detectors", run_id, detector)
    stage(folder, pack(model, [line for line, _ in learned], manifest))
    log.info("trained %s on %d templates in %.1f s", detector, len(learned), seconds)
    return TrainResult(
        detector=detector,
        folder=str(folder),
        dataset=str(dataset),
        epochs=len(model.losses),
        seconds=round(seconds, 3),
        metrics=_samples(detector, manifest["final_loss"]),
        **{name: manifest[name] for name in _FROM_MANIFEST},
    )


def _manifest(model: Detector, lines: TrainingLines, n_learned: int) -> dict[str, Any]:
    import numpy as np

    scores = model.score(lines.calibrate)
    mean, std = float(scores.mean()), float(scores.std())
    return {
        "params": dict(model.params),
        "lines": lines.train.total(),
        "distinct": n_learned,
        "distinct_left_out": len(lines.train) - n_learned,
        "final_loss": model.losses[-1] if model.losses else None,
        "mean_reconstruction_error": mean,
        "std_reconstruction_error": std,
        "threshold": float(np.quantile(scores, QUANTILE)),
        "threshold_quantile": QUANTILE,
        "threshold_mean_plus_3_std": mean + FACTOR * max(std, STD_FLOOR),
    }


def _log(run: TrackedRun, model: Detector, manifest: Mapping[str, Any], seconds: float) -> None:
    run.log_params(
        {**manifest["params"], "distinct": manifest["distinct"], "lines": manifest["lines"]}
    )
    for epoch, loss in enumerate(model.losses):
        run.log_metrics({"train_loss": loss}, step=epoch)
    metrics = {name: value for name, value in manifest.items() if isinstance(value, float)}
    run.log_metrics({**metrics, "training_seconds": seconds})
    run.log_model(model.name, *model.view())


def _samples(detector: str, final_loss: float | None) -> list[Sample]:
    if final_loss is None:
        return []
    return [Sample(DETECTOR_FINAL_LOSS, final_loss, {"model": detector})]
