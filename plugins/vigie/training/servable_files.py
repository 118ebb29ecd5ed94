"""The files of a model version; :mod:`vigie.training.unpacking` loads and tests them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.pipeline import Pipeline

from vigie import skops_files
from vigie.encoding import dumps
from vigie.errors import DataError
from vigie.training.design_matrix import Design
from vigie.training.inference import positive_probability

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile

MODEL, SCHEMA, PROFILE, GOLDEN = "model.skops", "schema.json", "profile.json", "golden.json"
GOLDEN_ROWS = 5
FORMAT = 1


def pack(
    pipeline: Pipeline,
    model: ModelFile,
    *,
    candidate: str,
    threshold: float,
    profile: Mapping[str, Any],
    sample: pd.DataFrame,
) -> dict[str, bytes]:
    """Return the files of a model version.

    Parameters
    ----------
    pipeline
        Fitted on ``Design.of(model)`` tables with a target of 0 and 1.
    model
        The model file it was trained for; features and labels become the bundle's schema.
    candidate
        Which kind of model won.
    threshold
        A probability of at least this much gets the positive label.
    profile
        The reference profile that drift is measured against.
    sample
        Real rows with the model's features; some of them become golden rows, the file's own test.
    """
    design = Design.of(model)
    rows = _spread(sample[list(design.features)])
    answers = positive_probability(pipeline, design.table(rows))
    records = (
        {k: None if pd.isna(v) else v for k, v in row.items()} for row in rows.to_dict("records")
    )
    golden = [
        {"features": row, "probability": float(p)} for row, p in zip(records, answers, strict=True)
    ]
    return {
        MODEL: skops_files.dump(pipeline),
        SCHEMA: dumps(_schema(model, candidate, threshold)),
        PROFILE: dumps(profile),
        GOLDEN: dumps(golden),
    }


def _schema(model: ModelFile, candidate: str, threshold: float) -> dict[str, Any]:
    libraries = ("scikit-learn", "xgboost", "skops", "numpy", "pandas")
    return {
        "format": FORMAT,
        "model": model.name,
        "candidate": candidate,
        "target": model.target,
        "negative_label": model.negative_label,
        "positive_label": model.positive_label,
        "threshold": threshold,
        "derive": model.derive,
        "features": [
            {
                "name": f.name,
                "type": f.type,
                "min": f.min,
                "max": f.max,
                "categories": list(f.categories),
                "required": f.required,
            }
            for f in model.features
        ],
        "versions": {"python": platform.python_version()} | {n: version(n) for n in libraries},
    }


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a few rows from all over the table, so that the golden answers differ."""
    if rows.empty:
        raise DataError("a model version needs at least one real row to test itself with")
    step = max(1, len(rows) // GOLDEN_ROWS)
    return rows.iloc[::step].head(GOLDEN_ROWS)
