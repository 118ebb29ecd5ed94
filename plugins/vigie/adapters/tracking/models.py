"""A fitted model in MLflow's own format, with everything that makes it loadable elsewhere."""

from __future__ import annotations

import logging
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow.pytorch
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import Model, infer_signature

from vigie import skops_files
from vigie.errors import DataError

# Given, because MLflow's inference of them takes 12 s a model.
REQUIREMENTS = ("scikit-learn", "xgboost", "skops", "numpy", "pandas")
TORCH_REQUIREMENTS = ("torch", "numpy")

# Types of fitted models that skops does not know by itself and that are only data.
# A bundle, not this list, is what serving trusts.
TRUSTED_PREFIXES = ("sklearn.", "xgboost.", "numpy.", "scipy.", "vigie.")


def save_model(model: Any, folder: Path, example: Any, described: Model) -> None:
    """Write ``model`` to ``folder`` with signature, example and requirements.

    A model is a fitted scikit-learn estimator (its ``example`` a DataFrame of some rows) or a torch
    module (a float32 array); ``described`` already carries the ids of run and model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints for people in notebooks
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # "no pip found"
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
    """Return the types that skops must be told to trust.

    Raises
    ------
    DataError
        A type from outside the allowed packages.
    """
    types = skops_files.unknown_types(skops_files.dump(model))
    foreign = [name for name in types if not name.startswith(TRUSTED_PREFIXES)]
    if foreign:
        raise DataError(f"a model made of {foreign} cannot be logged: only {TRUSTED_PREFIXES}")
    return types


def _is_torch(model: Any) -> bool:
    return any(base.__module__.startswith("torch.nn") for base in type(model).__mro__)


def _widened(example: Any) -> Any:
    """Make integer columns floats: a column that is an integer today may have gaps tomorrow."""
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
