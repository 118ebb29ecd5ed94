"""Tracked runs and the model registry on an MLflow server."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cached_property
from typing import TYPE_CHECKING

from vigie.adapters.tracking.errors import probe, translated
from vigie.addresses import without_login
from vigie.encoding import digest
from vigie.errors import DataError, VigieError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from vigie.adapters.tracking.run import MlflowRun

BUNDLE_TAG = "vigie.bundle_version"
KEY_TAG = "vigie.key"
LOGIN_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
#: Values that limit a request to about 90 s if the server accepts a connection and does not
#: respond. The defaults of MLflow's client, 120 s and seven retries, would mean 16 minutes.
TIMEOUTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_environment_lock = threading.RLock()  # All threads share the environment.


class MlflowTracker:
    """Implement :class:`vigie.roles.Tracker` with MlflowClient, without MLflow's global state.

    ``login`` maps environment variables of the login to their values. MLflow, whose import takes
    3 s, is imported only after the server has accepted a connection. If the server is down, the
    import therefore does not delay a rollback.
    """

    def __init__(
        self, uri: str, login: Mapping[str, str] | None = None, *, connect_timeout_s: float = 2.0
    ) -> None:
        self.uri = uri.rstrip("/")
        self._login = dict(login or {})
        self._connect_timeout_s = connect_timeout_s

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Iterator[MlflowRun]:
        with self._connection():
            experiment_id = self._experiment(experiment)
            found = self._find_run(experiment_id, key) or self._create_run(experiment_id, name, key)
        from vigie.adapters.tracking.run import MlflowRun

        run = MlflowRun(self._client, self._call, found, experiment_id)
        run.set_tags(tags or {})
        try:
            yield run
        except BaseException:
            with suppress(VigieError):  # The original error is raised.
                self._end(run.run_id, "FAILED")
            raise
        self._end(run.run_id, "FINISHED")

    def register(self, model: str, version: int, run_id: str) -> str | None:
        with self._connection():
            if (known := self._registered(model, version)) is not None:
                return str(known.version)
            self._ensure_registered_model(model)
            logged = self._newest_model(run_id)
            created = self._client.create_model_version(
                model,
                source=logged.artifact_location,
                run_id=run_id,
                tags={BUNDLE_TAG: str(version)},
                model_id=logged.model_id,
            )
            return str(created.version)

    def set_alias(self, model: str, alias: str, version: int) -> None:
        with self._connection():
            if (known := self._registered(model, version)) is None:
                raise DataError(
                    f"the registry has no version of {model} with the tag {BUNDLE_TAG}={version}"
                )
            self._client.set_registered_model_alias(model, alias, known.version)

    def alias(self, model: str, alias: str) -> int | None:
        with self._connection():
            from mlflow.exceptions import MlflowException

            try:
                found = self._client.get_model_version_by_alias(model, alias)
            except MlflowException as exc:  # An unknown alias is an INVALID_PARAMETER_VALUE.
                if exc.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                raise
            tag = found.tags.get(BUNDLE_TAG)
            return int(tag) if tag else None

    def run_url(self, run_id: str) -> str | None:
        if not run_id or not self.uri.startswith("http"):
            return None
        with self._connection():
            experiment_id = self._client.get_run(run_id).info.experiment_id
        return f"{without_login(self.uri)}/#/experiments/{experiment_id}/runs/{run_id}"

    @contextmanager
    def _connection(self) -> Iterator[None]:
        probe(self.uri, self._connect_timeout_s)
        with self._call():
            yield

    @contextmanager
    def _call(self) -> Iterator[None]:
        with client_environment(self.uri, self._login), translated(self.uri):
            yield

    def _end(self, run_id: str, status: str) -> None:
        # The client would print the address of the run to standard output.
        with self._connection(), redirect_stdout(io.StringIO()):
            self._client.set_terminated(run_id, status)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # Another task may have created the experiment meanwhile.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find_run(self, experiment_id: str, key: str | None) -> str | None:
        if key is None:
            return None
        tagged = f"tags.`{KEY_TAG}` = '{digest(key)}'"
        runs = self._client.search_runs([experiment_id], tagged, max_results=1)
        if not runs:
            return None
        self._client.update_run(runs[0].info.run_id, status="RUNNING")
        return str(runs[0].info.run_id)

    def _create_run(self, experiment_id: str, name: str, key: str | None) -> str:
        tags = {KEY_TAG: digest(key)} if key else {}
        return str(self._client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)

    def _registered(self, model: str, version: int) -> ModelVersion | None:
        """Return the registry version whose tag is the bundle version; None if there is none."""
        found = self._client.search_model_versions(f"name='{model}'")
        return next((v for v in found if v.tags.get(BUNDLE_TAG) == str(version)), None)

    def _newest_model(self, run_id: str) -> LoggedModel:
        from vigie.adapters.tracking.run import logged_models

        experiment_id = self._client.get_run(run_id).info.experiment_id
        found = logged_models(self._client, experiment_id, run_id)
        if not found:
            raise DataError(f"the tracked run {run_id} has no model to register")
        return found[0]

    def _ensure_registered_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextmanager
def client_environment(uri: str, login: Mapping[str, str]) -> Iterator[None]:
    """Set the address, the login and missing :data:`TIMEOUTS` in the environment during the block.

    MLflow's client reads the login only from the environment (``mlflow/utils/credentials.py``).
    Variables of the login that ``login`` lacks are unset, because their values may belong to
    another server. The address is set too, so that no thread of MLflow sends the login to another
    server. The previous values are restored after the block, because vigie's settings come from the
    same variables.
    """
    with _environment_lock:
        before = {name: os.environ.pop(name) for name in LOGIN_VARIABLES if name in os.environ}
        timeouts = {name: value for name, value in TIMEOUTS.items() if not os.environ.get(name)}
        before |= {name: os.environ[name] for name in timeouts if name in os.environ}
        os.environ.update({"MLFLOW_TRACKING_URI": uri, **login, **timeouts})
        try:
            yield
        finally:
            for name in (*LOGIN_VARIABLES, *timeouts):
                os.environ.pop(name, None)
            os.environ.update(before)
