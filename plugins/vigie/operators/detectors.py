"""Operators of ``anomaly_model_training``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vigie.operators.anomaly import optional_number
from vigie.operators.base import JobOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings


class LoadTrainingLogsOperator(JobOperator):
    """Sample log lines.

    Parameters
    ----------
    base_dir
        Folder of the logs, relative ones below the project; empty: ``data/kafka`` if it has any,
        else the local platform's own.
    max_lines
        Lines of the sample.
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
    """Train one detector on the run's sample.

    Parameters
    ----------
    detector
        Its name.
    epochs
        Of a detector that has epochs; empty: its default.
    """

    template_fields: Sequence[str] = ("epochs",)

    def __init__(self, *, detector: str, epochs: int | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detector = detector
        self.epochs = epochs

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.staging import sample_path
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


class EvaluateDetectorsOperator(JobOperator):
    """Compare the run's detectors and the champions on held-out lines."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.evaluate_detectors import evaluate_detectors
        from vigie.anomaly.training.staging import sample_path

        run_id = run_key(context)
        dataset = sample_path(services.paths, run_id)
        return evaluate_detectors(
            services, run_id=run_id, dataset=dataset, experiment=settings.mlflow.experiment_name
        )


class RegisterDetectorsOperator(JobOperator):
    """Promote the detectors that passed; a no is a result."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.training.register_detectors import register_detectors
        from vigie.anomaly.training.staging import evaluation_path

        path = evaluation_path(services.paths, run_key(context))
        return register_detectors(services, evaluation=path)
