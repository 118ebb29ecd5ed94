"""Files of a model version: conversion of a fitted model to files, and back."""

from __future__ import annotations

import json
import math
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
from vigie.training.servable import ServableModel, positive_probability

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile

MODEL, SCHEMA, PROFILE, GOLDEN = "model.skops", "schema.json", "profile.json", "golden.json"
GOLDEN_ROWS = 5
FORMAT = 1
#: Types that the model of a bundle may contain, in addition to the types that skops trusts.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
#: Allowed relative difference of a golden probability: XGBoost computes in float32 (eps 6e-8), and
#: processors round differently. Wrong column orders and library versions cause larger differences.
GOLDEN_TOLERANCE = 1e-6


def pack(
    pipeline: Pipeline,
    model: ModelFile,
    *,
    candidate: str,
    threshold: float,
    profile: Mapping[str, Any],
    sample: pd.DataFrame,
) -> dict[str, bytes]:
    """Return the files of a model version by name.

    ``pipeline`` is fitted on tables of ``Design.of(model)`` and a target of 0 and 1. ``profile`` is
    the reference profile for drift tests. Some rows of ``sample`` become golden rows:
    :func:`unpack` checks that the loaded model still gives them the same probabilities.
    """
    design = Design.of(model)
    rows = _spread(sample[list(design.features)])
    p = positive_probability(pipeline, design.table(rows))
    features = (
        {k: None if pd.isna(v) else v for k, v in row.items()} for row in rows.to_dict("records")
    )
    golden = [
        {"features": row, "probability": float(v)} for row, v in zip(features, p, strict=True)
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
    """Return up to :data:`GOLDEN_ROWS` rows at equal distances in the table."""
    if rows.empty:
        raise DataError("the sample for golden rows is empty; at least one row is needed")
    step = max(1, len(rows) // GOLDEN_ROWS)
    return rows.iloc[::step].head(GOLDEN_ROWS)


def unpack(files: Mapping[str, bytes]) -> ServableModel:
    """Load a model version from its files and check the probabilities of the golden rows.

    Raises
    ------
    DataError
        A file is missing or damaged, the model contains an untrusted type or was trained on other
        columns, or the probability of a golden row differs.
    """
    if missing := [name for name in (MODEL, SCHEMA, PROFILE, GOLDEN) if name not in files]:
        raise DataError(f"the bundle lacks {', '.join(missing)}")
    schema, profile, golden = (_json(files, name) for name in (SCHEMA, PROFILE, GOLDEN))
    servable = _servable(_load(files[MODEL]), schema, profile)
    if not isinstance(profile, dict):
        raise DataError(f"{PROFILE}: expected an object, found {type(profile).__name__}")
    _check_columns(servable)
    _check_golden(servable, golden)
    return servable


def _servable(pipeline: Any, schema: Any, profile: Any) -> ServableModel:
    try:
        design = Design(
            tuple(f["name"] for f in schema["features"]),
            tuple(f["name"] for f in schema["features"] if f["type"] == "category"),
            schema["derive"],
        )
        return ServableModel(
            name=schema["model"],
            pipeline=pipeline,
            design=design,
            threshold=float(schema["threshold"]),
            negative_label=schema["negative_label"],
            positive_label=schema["positive_label"],
            profile=profile,
            schema=schema,
        )
    except skops_files.DAMAGED as exc:
        raise DataError(f"{SCHEMA}: invalid schema: {exc!r}") from exc


def _json(files: Mapping[str, bytes], name: str) -> Any:
    try:
        return json.loads(files[name])
    except ValueError as exc:
        raise DataError(f"{name}: not JSON: {exc}") from exc


def _load(data: bytes) -> Pipeline:
    try:
        pipeline = skops_files.load(data, TRUSTED)
    except DataError as exc:
        raise DataError(f"{MODEL}: {exc}") from exc
    if not isinstance(pipeline, Pipeline):
        raise DataError(f"{MODEL}: expected a Pipeline, found {type(pipeline).__name__}")
    return pipeline


def _check_columns(servable: ServableModel) -> None:
    design = servable.design
    base = [f for f in design.features if f not in design.categories] + list(design.categories)
    expected = [*base, *(name for name in design.numbers if name not in base)]
    found = list(getattr(servable.pipeline, "feature_names_in_", ()))
    if found != expected:
        raise DataError(f"{MODEL}: trained on the columns {found}, but {SCHEMA} lists {expected}")
    if list(getattr(servable.pipeline, "classes_", ())) != [0, 1]:
        raise DataError(f"{MODEL}: expected a classifier with the classes 0 and 1")


def _check_golden(servable: ServableModel, golden: Any) -> None:
    try:
        rows = [row["features"] for row in golden]
        expected = [float(row["probability"]) for row in golden]
        found = [output.probability for output in servable.predict(rows)]
    except skops_files.DAMAGED as exc:
        raise DataError(f"the model cannot predict the golden rows: {exc!r}") from exc
    if not rows:
        raise DataError(f"{GOLDEN}: no rows")
    for i, (want, got) in enumerate(zip(expected, found, strict=True), start=1):
        if not math.isclose(want, got, rel_tol=GOLDEN_TOLERANCE, abs_tol=GOLDEN_TOLERANCE**2):
            raise DataError(f"golden row {i}: expected the probability {want!r}, found {got!r}")
