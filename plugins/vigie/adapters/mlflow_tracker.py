"""Runs and registry on an MLflow server, through its client alone: no global URI, no active run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from vigie.adapters.mlflow_errors import probe, translated
from vigie.adapters.mlflow_run import MlflowRun, logged_models
from vigie.encoding import digest
from vigie.errors import DataError, VigieError

BUNDLE_TAG = "vigie.bundle_version"
KEY_TAG = "vigie.key"


class MlflowTracker:
    """The tracking and registry role on MLflow.

    Parameters
    ----------
    uri
        ``http://host:port`` of the server; any other URI that MlflowClient takes works too.
    connect_timeout_s
        How long a call may wait for a server that is down.
    """

    def __init__(self, uri: str, *, connect_timeout_s: float = 2.0) -> None:
        self.uri = uri.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Iterator[MlflowRun]:
        with self._reached():
            experiment_id = self._experiment(experiment)
            found = self._find_run(experiment_id, key) or self._create_run(experiment_id, name, key)
        run = MlflowRun(self._client, self.uri, found, experiment_id)
        run.set_tags(tags or {})
        try:
            yield run
        except BaseException:
            with suppress(VigieError), self._reached():  # what went wrong says more than this
                self._client.set_terminated(run.run_id, "FAILED")
            raise
        with translated(self.uri):
            self._client.set_terminated(run.run_id, "FINISHED")

    def register(self, model: str, version: int, run_id: str) -> str | None:
        with self._reached():
            known = self._registered(model, version)
            if known is not None:
                return str(known.version)
            self._ensure_registered_model(model)
            run = self._client.get_run(run_id)
            logged = logged_models(self._client, run.info.experiment_id, run_id)
            if not logged:
                raise DataError(f"MLflow run {run_id} has no model to register as {model}")
            created = self._client.create_model_version(
                model,
                source=logged[0].artifact_location,
                run_id=run_id,
                tags={BUNDLE_TAG: str(version)},
                model_id=logged[0].model_id,
            )
            return str(created.version)

    def set_alias(self, model: str, alias: str, version: int) -> None:
        with self._reached():
            known = self._registered(model, version)
            if known is None:
                raise DataError(f"the registry has no {model} tagged {BUNDLE_TAG}={version}")
            self._client.set_registered_model_alias(model, alias, known.version)

    def alias(self, model: str, alias: str) -> int | None:
        with self._reached():
            try:
                found = self._client.get_model_version_by_alias(model, alias)
            except MlflowException as exc:  # a missing alias is INVALID_PARAMETER_VALUE
                if exc.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                raise
            tag = found.tags.get(BUNDLE_TAG)
            return int(tag) if tag else None

    def run_url(self, run_id: str) -> str | None:
        if not run_id or not self.uri.startswith("http"):
            return None
        with self._reached():
            experiment_id = self._client.get_run(run_id).info.experiment_id
        return f"{self.uri}/#/experiments/{experiment_id}/runs/{run_id}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        probe(self.uri, self._connect_timeout_s)
        with translated(self.uri):
            yield

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as exc:  # a mapped task beside this one was faster
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise exc from None
            return str(found.experiment_id)

    def _find_run(self, experiment_id: str, key: str | None) -> str | None:
        if key is None:
            return None
        runs = self._client.search_runs(
            [experiment_id], f"tags.`{KEY_TAG}` = '{digest(key)}'", max_results=1
        )
        if not runs:
            return None
        self._client.update_run(runs[0].info.run_id, status="RUNNING")
        return str(runs[0].info.run_id)

    def _create_run(self, experiment_id: str, name: str, key: str | None) -> str:
        tags = {KEY_TAG: digest(key)} if key else {}
        return str(self._client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)

    def _registered(self, model: str, version: int) -> ModelVersion | None:
        """Find the registry's version that carries our bundle version."""
        for found in self._client.search_model_versions(f"name='{model}'"):
            if found.tags.get(BUNDLE_TAG) == str(version):
                return found
        return None

    def _ensure_registered_model(self, model: str) -> None:
        try:
            self._client.create_registered_model(model)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
