"""Candidates: pipelines of preprocessing and estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from vigie.errors import DataError
from vigie.training.design_matrix import Design

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile


def build_candidate(name: str, model: ModelFile, seed: int) -> Pipeline:
    """Return an unfitted pipeline for tables of ``Design.of(model)`` and a target of 0 and 1.

    The pipeline uses one thread, because workers and requests run in parallel. The same seed and
    rows give the same model. Raises DataError if the name is unknown.
    """
    if name not in _ESTIMATORS:
        raise DataError(f"unknown candidate {name!r}; expected one of: {', '.join(_ESTIMATORS)}")
    return Pipeline(
        [("prepare", _preparation(Design.of(model))), ("model", _ESTIMATORS[name](seed))]
    )


def _preparation(design: Design) -> ColumnTransformer:
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categories = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("numbers", numbers, list(design.numbers)),
            ("categories", categories, list(design.categories)),
        ]
    )


def _logistic_regression(seed: int) -> BaseEstimator:
    return LogisticRegression(max_iter=2000, class_weight="balanced", random_state=seed)


def _random_forest(seed: int) -> BaseEstimator:
    # More than 100 trees increase the latency (4 ms per row) and the size of the bundle without a
    # measurable gain.
    return RandomForestClassifier(
        n_estimators=100,
        min_samples_leaf=2,
        max_leaf_nodes=256,  # Without a limit, the bundle has 33 MB for 20,000 rows.
        class_weight="balanced_subsample",
        n_jobs=1,
        random_state=seed,
    )


def _xgboost(seed: int) -> BaseEstimator:
    return XGBClassifier(
        n_estimators=150,
        max_depth=4,
        learning_rate=0.1,
        subsample=0.9,
        colsample_bytree=0.9,
        tree_method="hist",
        n_jobs=1,
        random_state=seed,
    )


_ESTIMATORS = {
    "logistic_regression": _logistic_regression,
    "random_forest": _random_forest,
    "xgboost": _xgboost,
}
