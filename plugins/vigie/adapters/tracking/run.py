"""An open run on an MLflow server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model

from vigie.adapters.tracking.models import save_model

MAX_PARAM = 6000  # MLflow's own limit
MlflowCall = Callable[[], AbstractContextManager[None]]


class MlflowRun:
    """An open run.

    Parameters
    ----------
    asked
        Surrounds each call of the client with the server's login, and translates errors.
    """

    def __init__(
        self, client: MlflowClient, asked: MlflowCall, run_id: str, experiment_id: str
    ) -> None:
        self._client = client
        self._asked = asked
        self._experiment_id = experiment_id
        self.run_id = run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; MLflow's are immutable, so a reopened run keeps the first value."""
        with self._asked():
            there = self._client.get_run(self.run_id).data.params
            new = [Param(k, str(v)[:MAX_PARAM]) for k, v in params.items() if k not in there]
            self._client.log_batch(self.run_id, params=new)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        now = int(time.time() * 1000)
        values = [Metric(k, float(v), now, step or 0) for k, v in metrics.items() if v is not None]
        with self._asked():
            self._client.log_batch(self.run_id, metrics=values)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        with self._asked():
            self._client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def log_file(self, path: Path) -> None:
        with self._asked():
            self._client.log_artifact(self.run_id, str(path))

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Log a model; the run's earlier one of the same name (of a try that died) is replaced."""
        with self._asked(), tempfile.TemporaryDirectory() as folder:
            for old in logged_models(self._client, self._experiment_id, self.run_id):
                if old.name == name:
                    self._client.delete_logged_model(old.model_id)
            logged = self._client.create_logged_model(self._experiment_id, name, self.run_id)
            described = Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                run_id=self.run_id,
                model_id=logged.model_id,
            )
            target = Path(folder) / "model"
            save_model(model, target, example, described)
            self._client.log_model_artifacts(logged.model_id, str(target))
            self._client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
            self._client.finalize_logged_model(logged.model_id, "READY")


def logged_models(client: MlflowClient, experiment_id: str, run_id: str) -> list[Any]:
    """Return the run's complete and incomplete models, newest first."""
    found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    return sorted(found, key=lambda m: m.creation_timestamp, reverse=True)
