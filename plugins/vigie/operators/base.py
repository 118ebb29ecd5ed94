"""Base classes of the operators, and the default arguments, tags and Assets of all DAGs."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.errors import ConflictError, NotEnoughDataError, PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.model_file import ModelFile
    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

log = logging.getLogger(__name__)

Opened = AbstractContextManager[tuple["Services", "Settings"]]

TAGS = frozenset({"vigie", "logs", "anomaly", "reports", "retrain", "training", "fraud"})

DRIFT_DETECTED = Asset("drift_detected", uri="x-vigie://drift_detected", group="vigie")
PERFORMANCE_DEGRADED = Asset(
    "performance_degraded", uri="x-vigie://performance_degraded", group="vigie"
)
#: The outlet of tasks that emit events for these Assets. If the Assets were outlets themselves,
#: every successful task would emit an event, even without drift.
FINDINGS = AssetAlias("report_findings", group="vigie")


def log_failure(context: Mapping[str, Any]) -> None:
    """Log the DAG, task, run and exception of a failed task (a callback for Airflow)."""
    instance = context.get("task_instance") or context.get("ti")
    log.error(
        "task failed: dag=%s task=%s run=%s reason=%s",
        getattr(instance, "dag_id", "?"),
        getattr(instance, "task_id", "?"),
        getattr(instance, "run_id", "?"),
        context.get("exception"),
    )


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "vigie",
    "retries": 2,  # JobOperator disables retries for PermanentError and ConflictError
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "on_failure_callback": log_failure,
}


@contextmanager
def open_for_task(context: Context) -> Iterator[tuple[Services, Settings]]:
    """Read the settings of a running task and open its services.

    Airflow Connections take precedence over the environment.
    """
    from vigie.operators.connections import connection_overrides
    from vigie.settings import Settings
    from vigie.wiring import open_services

    settings = Settings.from_env(connection_overrides(), override_source="Airflow Connection")
    with open_services(settings) as services:
        yield services, settings


def run_key(context: Context) -> str:
    """Return the run id; characters that are not allowed in a file name are replaced.

    The key is the same for all tasks of a run and all their tries.
    """
    key = re.sub(r"[^A-Za-z0-9_.-]", "-", str(context["run_id"]))
    return re.sub(r"^[.-]", "_", key)  # A leading dot would mean a hidden file or a parent folder.


class JobOperator(BaseOperator):
    """Run one use case and return its result as XCom.

    NotEnoughDataError skips the task. PermanentError and ConflictError fail the task without a
    retry. TransientError fails the attempt, and Airflow retries the task.
    """

    opened: Callable[[Context], Opened] = staticmethod(open_for_task)

    @abstractmethod
    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        """Call the use case with the operator's arguments."""

    def execute(self, context: Context) -> dict[str, Any]:
        try:
            with self.opened(context) as (services, settings):
                return self.run_job(services, settings, context).as_xcom()
        except NotEnoughDataError as exc:
            raise AirflowSkipException(str(exc)) from exc
        except (PermanentError, ConflictError) as exc:
            raise AirflowFailException(str(exc)) from exc


class ModelOperator(JobOperator):
    """Base class of operators that run a use case for one model.

    Parameters
    ----------
    model
        Name of the model file.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def model_file(self, services: Services) -> ModelFile:
        """Read and validate the model file of the operator's model."""
        from vigie.models.catalog import get_model

        return get_model(services.paths.models, self.model)

    def require_requested(self, context: Context) -> None:
        """Raise NotEnoughDataError if the Param ``model`` names another model."""
        requested = context["params"].get("model")
        if requested and requested != self.model:
            raise NotEnoughDataError(f"this run was requested for {requested} only")
