"""Operators of the DAGs ``kafka_anomaly_scoring`` and ``anomaly_model_training``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.anomaly.detectors.registry import DETECTORS, LSTM_AUTOENCODER
from vigie.errors import DataError, PermanentError, TransientError
from vigie.operators.base import JobOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.anomaly.scoring.stream_lag import LagResult
    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

log = logging.getLogger(__name__)

LEASE_WAIT_S = 30.0
"""Maximum seconds to wait for a partition; a follower releases it after a few batches."""


class WaitForLagOperator(JobOperator):
    """Wait, deferred, until lines can be scored; return the partitions of each worker.

    Lines can be scored if the group has uncommitted lines and the detector is deployed.

    Parameters
    ----------
    detector
        Detector that must be deployed.
    workers
        Number of tasks that share the partitions. Empty: ``VIGIE_STREAM_WORKERS``.
    poll_interval_s
        Seconds between two checks of the trigger.
    max_wait_s
        Seconds of waiting after which the task and the tasks that depend on it are skipped.
    """

    template_fields: Sequence[str] = ("workers",)

    def __init__(
        self,
        *,
        detector: str = LSTM_AUTOENCODER,
        workers: int | str | None = None,
        poll_interval_s: float = 5.0,
        max_wait_s: float = 6 * 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.detector = detector
        self.workers = workers
        self.poll_interval_s = poll_interval_s
        self.max_wait_s = max_wait_s

    def run_job(self, services: Services, settings: Settings, context: Context) -> LagResult:
        from vigie.anomaly.scoring.stream_lag import stream_lag

        names = settings.stream
        return stream_lag(services, topic=names.topic, group=names.group, detector=self.detector)

    def execute(self, context: Context) -> Any:  # the base class returns a dictionary
        try:
            workers = self._given_workers()
            with self.opened(context) as (services, settings):
                lag = self.run_job(services, settings, context)
        except PermanentError as exc:
            raise AirflowFailException(str(exc)) from exc
        except TransientError as exc:
            log.warning("a service did not answer; waiting for lines: %s", exc)
        else:
            if lag.is_ready:
                return lag.workers(workers or settings.stream.workers)
            if lag.lag:
                log.warning("%d records wait for a deployed version of %s", lag.lag, self.detector)
        self._wait(workers)

    def _wait(self, workers: int | None) -> NoReturn:
        from vigie.operators.lag_trigger import LagTrigger

        trigger = LagTrigger(
            detector=self.detector,
            workers=workers,
            poll_interval_s=self.poll_interval_s,
            max_wait_s=self.max_wait_s,
        )
        self.defer(trigger=trigger, method_name="resume")
        raise RuntimeError("unreachable: defer raises")

    def _given_workers(self) -> int | None:
        given = optional_number(self.workers)
        if given is None:
            return None
        if given < 1:
            raise DataError(f"workers must be at least 1, not {self.workers}")
        return int(given)

    def resume(self, context: Context, event: dict[str, Any]) -> list[list[int]]:
        """Return the workers' partitions from a ``ready`` event, else fail or skip the task."""
        if event["status"] == "error":
            raise AirflowFailException(event["message"])
        if event["status"] == "timeout":
            raise AirflowSkipException(
                f"nothing to score within {self.max_wait_s:.0f} s: no lines arrived, "
                f"{self.detector} is not deployed, or a service did not answer"
            )
        workers: list[list[int]] = event["workers"]
        return workers


class ScoreStreamOperator(JobOperator):
    """Score and index the lines of some partitions; the DAG maps the operator over the workers.

    Parameters
    ----------
    partitions
        Partitions that this task reads.
    factor, threshold, update, max_lines, batch_size
        See :func:`vigie.anomaly.scoring.score_stream.score_stream`. If ``threshold`` is empty, the
        dynamic threshold is used.
    """

    template_fields: Sequence[str] = (
        "partitions", "factor", "threshold", "update", "max_lines", "batch_size"
    )  # fmt: skip

    def __init__(
        self,
        *,
        partitions: Sequence[int] | None = None,
        detector: str = LSTM_AUTOENCODER,
        factor: float | str = 3.0,
        threshold: float | str | None = None,
        update: str = "all",
        max_lines: int | str = 1_000_000,
        batch_size: int | str = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partitions = partitions
        self.detector = detector
        self.factor = factor
        self.threshold = threshold
        self.update = update
        self.max_lines = max_lines
        self.batch_size = batch_size

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.scoring.score_stream import score_stream

        names = settings.stream
        return score_stream(
            services,
            topic=names.topic,
            group=names.group,
            index=names.index,
            detector=self.detector,
            factor=float(self.factor),
            threshold=optional_number(self.threshold),
            update=self.update,
            max_lines=int(self.max_lines),
            batch_size=int(self.batch_size),
            partitions=self.partitions,
            dead_letter_topic=names.dead_letter_topic,
            lease_wait_s=LEASE_WAIT_S,
            allow_gap=bool(context.get("params", {}).get("allow_gap")),
        )


class GroupIncidentsOperator(JobOperator):
    """Group new anomalies into incidents."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.scoring.group_incidents import group_incidents

        names = settings.stream
        return group_incidents(services, topic=names.topic, index=names.index)


class LoadTrainingLogsOperator(JobOperator):
    """Sample log lines for the training of the detectors.

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
    """Train one detector on the sample of the run; ``epochs`` defaults to the detector's."""

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


def optional_number(value: float | str | None) -> float | None:
    """Return the number in a rendered template; None if the Param is empty.

    Examples
    --------
    >>> optional_number("None"), optional_number(""), optional_number("3.5")
    (None, None, 3.5)
    """
    if value is None or value in ("", "None"):
        return None
    try:
        return float(value)
    except ValueError as exc:
        raise DataError(f"expected a number or an empty value, not {value!r}") from exc
