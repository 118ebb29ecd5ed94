"""The files of a model version, loaded only if they still answer as they did when written."""

from __future__ import annotations

import json
import math
import platform
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
import skops.io
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from vigie.encoding import dumps
from vigie.errors import DataError
from vigie.training.design import Design

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.training.servable import ServableModel

MODEL, SCHEMA, PROFILE, GOLDEN = "model.skops", "schema.json", "profile.json", "golden.json"
#: The only types, besides those skops itself trusts, that a bundle may hold. A file cannot add to
#: this list.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
GOLDEN_ROWS = 5
#: XGBoost computes in float32 (eps 6e-8), and another processor may round differently; a wrong
#: preprocessor, column order or library version moves an answer by far more.
GOLDEN_TOLERANCE = 1e-6
_FORMAT = 1
_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OSError,
    ImportError,
)


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
    answers = pipeline.predict_proba(design.table(rows))[:, 1]
    records = (
        {k: None if pd.isna(v) else v for k, v in row.items()} for row in rows.to_dict("records")
    )
    golden = [
        {"features": row, "probability": float(p)} for row, p in zip(records, answers, strict=True)
    ]
    return {
        MODEL: skops.io.dumps(pipeline),
        SCHEMA: dumps(_schema(model, candidate, threshold)),
        PROFILE: dumps(profile),
        GOLDEN: dumps(golden),
    }


def unpack(files: Mapping[str, bytes]) -> ServableModel:
    """Return a model version that has answered its golden rows as it did when it was packed.

    Raises
    ------
    DataError
        If a file is missing or damaged, holds a type that is not on our list, belongs to other
        features, or if a golden row is answered differently.
    """
    from vigie.training.servable import ServableModel

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
    except _DAMAGED as exc:
        raise DataError(f"{SCHEMA}: not a schema: {exc!r}") from exc
    _check_columns(servable)
    _check_golden(servable, golden)
    return servable


def _schema(model: ModelFile, candidate: str, threshold: float) -> dict[str, Any]:
    libraries = ("scikit-learn", "xgboost", "skops", "numpy", "pandas")
    return {
        "format": _FORMAT,
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


def _json(files: Mapping[str, bytes], name: str) -> Any:
    try:
        return json.loads(files[name])
    except ValueError as exc:
        raise DataError(f"{name}: not JSON: {exc}") from exc


def _load(data: bytes) -> Pipeline:
    try:
        pipeline = skops.io.loads(data, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as exc:
        raise DataError(f"{MODEL}: refused: {exc}") from exc
    except (zipfile.BadZipFile, *_DAMAGED) as exc:
        raise DataError(f"{MODEL}: damaged: {exc!r}") from exc
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
    except _DAMAGED as exc:
        raise DataError(f"the golden rows cannot be answered: {exc!r}") from exc
    if not rows:
        raise DataError(f"{GOLDEN}: holds no row")
    for i, (want, got) in enumerate(zip(expected, answers, strict=True), start=1):
        if not math.isclose(want, got, rel_tol=GOLDEN_TOLERANCE, abs_tol=GOLDEN_TOLERANCE**2):
            raise DataError(f"golden row {i}: expected the probability {want!r}, found {got!r}")
