"""The one way from Airflow into a job."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.errors import ConflictError, NotEnoughDataError, PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.model_file import ModelFile
    from vigie.records import JobReport
    from vigie.roles import Services
    from vigie.settings import Settings
    from vigie.wiring import LazyServices

ServicesFactory = Callable[["Context"], AbstractContextManager["Services"]]


@contextmanager
def task_services(context: Context) -> Iterator[Services]:
    """Open the services of a running task: Connections that exist win over the environment."""
    from vigie.operators.connections import connection_overrides
    from vigie.settings import Settings
    from vigie.wiring import open_services

    settings = Settings.from_env(connection_overrides(), override_source="Airflow Connection")
    with open_services(settings) as services:
        yield services


def settings_of(services: Services) -> Settings:
    """Return the settings that opened the services; jobs are given values, so no role has them."""
    return cast("LazyServices", services).settings


def run_key(context: Context) -> str:
    """Return the run's id in the alphabet of file names and keys; the same for every try of every
    task.
    """
    key = re.sub(r"[^A-Za-z0-9_.-]", "-", str(context["run_id"]))
    return re.sub(r"^[.-]", "_", key)  # no hidden folder, and not the folder above


class JobOperator(BaseOperator):
    """Run one job of a capability and return its report as XCom.

    ``NotEnoughDataError`` skips the task, ``PermanentError`` and ``ConflictError`` fail it without
    a retry,
    ``TransientError`` propagates and is retried.
    """

    services_factory: ServicesFactory = staticmethod(task_services)

    @abstractmethod
    def run_job(self, services: Services, context: Context) -> JobReport:
        """Call the job with this operator's values."""

    def execute(self, context: Context) -> dict[str, Any]:
        try:
            with self.services_factory(context) as services:
                return self.run_job(services, context).as_xcom()
        except NotEnoughDataError as exc:
            raise AirflowSkipException(str(exc)) from exc
        except (PermanentError, ConflictError) as exc:
            raise AirflowFailException(str(exc)) from exc


class ModelOperator(JobOperator):
    """One step about one model; the Param ``model`` may ask for another one only.

    Parameters
    ----------
    model
        The model file's name.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def model_file(self, services: Services) -> ModelFile:
        """Read the model's file."""
        from vigie.models.catalog import get_model

        return get_model(services.paths.models, self.model)

    def require_asked(self, context: Context) -> None:
        """Raise NotEnoughDataError when this run was asked for another model."""
        asked = context["params"].get("model")
        if asked and asked != self.model:
            raise NotEnoughDataError(f"this run was asked for {asked} only")
