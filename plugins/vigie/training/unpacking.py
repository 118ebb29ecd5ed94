"""Load the files of a model version, if they still answer as they did when they were written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sklearn.pipeline import Pipeline

from vigie import skops_files
from vigie.errors import DataError
from vigie.training.design_matrix import Design
from vigie.training.servable_files import GOLDEN, MODEL, PROFILE, SCHEMA
from vigie.training.servable_model import ServableModel

#: The only types, besides those skops itself trusts, that a bundle may hold. A file cannot add to
#: this list.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
#: XGBoost computes in float32 (eps 6e-8), and another processor may round differently; a wrong
#: preprocessor, column order or library version moves an answer by far more.
GOLDEN_TOLERANCE = 1e-6


def unpack(files: Mapping[str, bytes]) -> ServableModel:
    """Return a model version that has answered its golden rows as it did when it was packed.

    Raises
    ------
    DataError
        If a file is missing or damaged, holds a type that is not on our list, belongs to other
        features, or if a golden row is answered differently.
    """
    if missing := [name for name in (MODEL, SCHEMA, PROFILE, GOLDEN) if name not in files]:
        raise DataError(f"the bundle lacks {', '.join(missing)}")
    schema, profile, golden = (_json(files, name) for name in (SCHEMA, PROFILE, GOLDEN))
    pipeline = _load(files[MODEL])
    try:
        design = Design(
            tuple(f["name"] for f in schema["features"]),
            tuple(f["name"] for f in schema["features"] if f["type"] == "category"),
            schema["derive"],
        )
        servable = ServableModel(
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
        raise DataError(f"{SCHEMA}: not a schema: {exc!r}") from exc
    if not isinstance(profile, dict):
        raise DataError(f"{PROFILE}: expected an object, found {type(profile).__name__}")
    _check_columns(servable)
    _check_golden(servable, golden)
    return servable


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
    expected = [*_base_columns(servable.design), *_derived(servable.design)]
    found = list(getattr(servable.pipeline, "feature_names_in_", ()))
    if found != expected:
        raise DataError(f"{MODEL}: trained on other columns than {SCHEMA} names: {found[:5]}…")
    if list(getattr(servable.pipeline, "classes_", ())) != [0, 1]:
        raise DataError(f"{MODEL}: expected a classifier of 0 and 1")


def _base_columns(design: Design) -> list[str]:
    numbers = [f for f in design.features if f not in design.categories]
    return [*numbers, *design.categories]


def _derived(design: Design) -> list[str]:
    base = _base_columns(design)
    return [n for n in design.numbers if n not in base]


def _check_golden(servable: ServableModel, golden: Any) -> None:
    try:
        rows = [row["features"] for row in golden]
        expected = [float(row["probability"]) for row in golden]
        answers = [answer.probability for answer in servable.predict(rows)]
    except skops_files.DAMAGED as exc:
        raise DataError(f"the golden rows cannot be answered: {exc!r}") from exc
    if not rows:
        raise DataError(f"{GOLDEN}: holds no row")
    for i, (want, got) in enumerate(zip(expected, answers, strict=True), start=1):
        if not math.isclose(want, got, rel_tol=GOLDEN_TOLERANCE, abs_tol=GOLDEN_TOLERANCE**2):
            raise DataError(f"golden row {i}: expected the probability {want!r}, found {got!r}")
