"""A tracked run on an MLflow server, and models in MLflow's format."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow.pytorch
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model, infer_signature

from vigie import skops_files
from vigie.errors import DataError

MAX_PARAM = 6000  # limit of MLflow
# Requirements of a logged model. MLflow would need 12 s per model to infer them.
REQUIREMENTS = ("scikit-learn", "xgboost", "skops", "numpy", "pandas")
TORCH_REQUIREMENTS = ("torch", "numpy")

# Packages whose types a logged model may contain, in addition to the types that skops trusts.
# Serving does not use this list, because it loads bundles only.
TRUSTED_PREFIXES = ("sklearn.", "xgboost.", "numpy.", "scipy.", "vigie.")
MlflowCall = Callable[[], AbstractContextManager[None]]


class MlflowRun:
    """Implement :class:`vigie.roles.TrackedRun` on MLflow.

    Each call of the client runs in the context ``call``, which sets the login and translates
    errors.
    """

    def __init__(
        self, client: MlflowClient, call: MlflowCall, run_id: str, experiment_id: str
    ) -> None:
        self._client = client
        self._call = call
        self._experiment_id = experiment_id
        self.run_id = run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the parameters that the run lacks, because MLflow refuses to change a parameter."""
        with self._call():
            known = self._client.get_run(self.run_id).data.params
            new = [Param(k, str(v)[:MAX_PARAM]) for k, v in params.items() if k not in known]
            self._client.log_batch(self.run_id, params=new)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        now = int(time.time() * 1000)
        values = [Metric(k, float(v), now, step or 0) for k, v in metrics.items() if v is not None]
        with self._call():
            self._client.log_batch(self.run_id, metrics=values)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        with self._call():
            self._client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def log_file(self, path: Path) -> None:
        with self._call():
            self._client.log_artifact(self.run_id, str(path))

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Log a model; replace a model of the same name that an earlier attempt logged."""
        with self._call(), tempfile.TemporaryDirectory() as folder:
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
    """Return the models of a run, including incomplete ones, newest first."""
    found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    return sorted(found, key=lambda m: m.creation_timestamp, reverse=True)


def save_model(model: Any, folder: Path, example: Any, described: Model) -> None:
    """Write a model to ``folder`` with its signature, example and requirements.

    The example is a DataFrame for a fitted scikit-learn estimator, and an array for a torch module.
    ``described`` contains the ids of the tracked run and of the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow prints hints for interactive use.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        if _is_torch(model):
            mlflow.pytorch.save_model(
                model,
                path=str(folder),
                mlflow_model=described,
                input_example=np.asarray(example, dtype=np.float32),
                pip_requirements=_pins(TORCH_REQUIREMENTS),
            )
            return
        rows = _widened(example)
        mlflow.sklearn.save_model(
            model,
            path=str(folder),
            mlflow_model=described,
            signature=infer_signature(rows, model.predict(example)),
            input_example=rows,
            pip_requirements=_pins(REQUIREMENTS),
            skops_trusted_types=trusted_types(model),
        )


def trusted_types(model: Any) -> list[str]:
    """Return the types in the model that skops does not trust by default.

    Raises DataError if a type is not from one of :data:`TRUSTED_PREFIXES`.
    """
    types = skops_files.unknown_types(skops_files.dump(model))
    foreign = [name for name in types if not name.startswith(TRUSTED_PREFIXES)]
    if foreign:
        raise DataError(
            f"cannot log a model with the types {foreign}; allowed packages: {TRUSTED_PREFIXES}"
        )
    return types


def _is_torch(model: Any) -> bool:
    return any(base.__module__.startswith("torch.nn") for base in type(model).__mro__)


def _widened(example: Any) -> Any:
    """Convert integer columns to floats, so that the signature allows missing values."""
    if not isinstance(example, pd.DataFrame):
        return example
    integers = example.select_dtypes("integer").columns
    return example.astype(dict.fromkeys(integers, "float64"))


def _pins(names: tuple[str, ...]) -> list[str]:
    return [f"{name}=={found}" for name in names if (found := _installed(name))]


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
