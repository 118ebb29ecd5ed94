"""Operators of the DAG ``anomaly_model_training``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import DETECTORS
from vigie.operators.anomaly import optional_number
from vigie.operators.base import JobOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings


class LoadTrainingLogsOperator(JobOperator):
    """Sample log lines for the training.

    Parameters
    ----------
    base_dir
        Folder of the logs; a relative path starts at the project's root. Empty: ``data/kafka`` if
        it contains log files, else the logs of the local platform.
    max_lines
        Maximum number of sampled lines.
    """

    template_fields: Sequence[str] = ("base_dir", "max_lines")

    def __init__(self, *, base_dir: str = "", max_lines: int | str = 5000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_dir = base_dir
        self.max_lines = max_lines

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.load_training_logs import load_training_logs

        return load_training_logs(
            services,
            run_id=run_key(context),
            base_dir=services.paths.root / self.base_dir if self.base_dir else None,
            max_lines=int(self.max_lines),
        )


class TrainDetectorOperator(JobOperator):
    """Train one detector on the sample of the run.

    Parameters
    ----------
    detector
        Name of the detector.
    epochs
        Maximum number of epochs; empty: the detector's default.
    """

    template_fields: Sequence[str] = ("epochs",)

    def __init__(self, *, detector: str, epochs: int | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detector = detector
        self.epochs = epochs

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.dataset import sample_path
        from vigie.anomaly.training.train_detector import train_detector

        run_id, epochs = run_key(context), optional_number(self.epochs)
        return train_detector(
            services,
            detector=self.detector,
            dataset=sample_path(services.paths, run_id),
            run_id=run_id,
            epochs=None if epochs is None else int(epochs),
            experiment=settings.mlflow.experiment_name,
        )


def train_all_detectors(*, epochs: str) -> list[TrainDetectorOperator]:
    """Return one training task per registered detector, ``train_NAME``."""
    return [
        TrainDetectorOperator(task_id=f"train_{name}", detector=name, epochs=epochs)
        for name in DETECTORS
    ]


class EvaluateDetectorsOperator(JobOperator):
    """Compare the detectors of the run with the champions on held-out lines."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.dataset import sample_path
        from vigie.anomaly.training.evaluate_detectors import evaluate_detectors

        run_id = run_key(context)
        dataset = sample_path(services.paths, run_id)
        return evaluate_detectors(
            services, run_id=run_id, dataset=dataset, experiment=settings.mlflow.experiment_name
        )


class RegisterDetectorsOperator(JobOperator):
    """Promote the detectors that pass the gate; a rejected detector does not fail the task."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.dataset import evaluation_path
        from vigie.anomaly.training.register_detectors import register_detectors

        path = evaluation_path(services.paths, run_key(context))
        return register_detectors(services, evaluation=path)
