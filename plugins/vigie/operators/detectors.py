"""Operators of ``anomaly_model_training``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.operators.base import JobOperator, run_key
from vigie.operators.stream import optional_number

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.records import JobReport
    from vigie.roles import Services


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

    def run_job(self, services: Services, context: Context) -> JobReport:
        from vigie.jobs.load_training_logs import load_training_logs

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
    dataset
        Path of the sample.
    epochs
        Of a detector that has epochs; empty: its default.
    """

    template_fields: Sequence[str] = ("dataset", "epochs")

    def __init__(
        self, *, detector: str, dataset: Any, epochs: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.detector = detector
        self.dataset = dataset
        self.epochs = epochs

    def run_job(self, services: Services, context: Context) -> JobReport:
        from vigie.jobs.train_detector import train_detector

        epochs = optional_number(self.epochs)
        return train_detector(
            services,
            detector=self.detector,
            dataset=Path(str(self.dataset)),
            run_id=run_key(context),
            epochs=None if epochs is None else int(epochs),
        )


class EvaluateDetectorsOperator(JobOperator):
    """Compare the run's detectors and the champions on held-out lines."""

    template_fields: Sequence[str] = ("dataset",)

    def __init__(self, *, dataset: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def run_job(self, services: Services, context: Context) -> JobReport:
        from vigie.jobs.evaluate_detectors import evaluate_detectors

        return evaluate_detectors(
            services, run_id=run_key(context), dataset=Path(str(self.dataset))
        )


class RegisterDetectorsOperator(JobOperator):
    """Promote the detectors that passed; a no is a result."""

    template_fields: Sequence[str] = ("evaluation",)

    def __init__(self, *, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation = evaluation

    def run_job(self, services: Services, context: Context) -> JobReport:
        from vigie.jobs.register_detectors import register_detectors

        return register_detectors(services, evaluation=Path(str(self.evaluation)))
