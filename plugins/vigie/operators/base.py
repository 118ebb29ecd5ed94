"""Base classes of all operators: settings and services in, a use case's result out."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.errors import ConflictError, NotEnoughDataError, PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.model_file import ModelFile
    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

Opened = AbstractContextManager[tuple["Services", "Settings"]]


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
    """Return the Airflow run id with every character replaced that file names do not allow.

    Every try of every task of a run gets the same key.
    """
    key = re.sub(r"[^A-Za-z0-9_.-]", "-", str(context["run_id"]))
    return re.sub(r"^[.-]", "_", key)  # A leading dot would name a hidden or a parent folder.


class JobOperator(BaseOperator):
    """Run one use case and return its result as XCom.

    ``NotEnoughDataError`` skips the task. ``PermanentError`` and ``ConflictError`` fail it without
    a retry. ``TransientError`` propagates, so Airflow retries the task.
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
    """Run one step for one model.

    Parameters
    ----------
    model
        Name of the model file.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def model_file(self, services: Services) -> ModelFile:
        """Read the model file."""
        from vigie.models.catalog import get_model

        return get_model(services.paths.models, self.model)

    def require_requested(self, context: Context) -> None:
        """Raise NotEnoughDataError if the Param ``model`` names another model."""
        requested = context["params"].get("model")
        if requested and requested != self.model:
            raise NotEnoughDataError(f"this run was asked for {requested} only")
