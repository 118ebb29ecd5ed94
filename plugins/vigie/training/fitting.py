"""Fit one candidate: out-of-fold answers, the threshold from them, then all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from vigie.errors import DataError
from vigie.training.candidates import build_candidate
from vigie.training.design_matrix import Design
from vigie.training.metrics import evaluate
from vigie.training.split import folds, in_content_order
from vigie.training.threshold import choose_threshold

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class FittedCandidate:
    """A candidate fitted on the training rows, its threshold, and its out-of-fold figures."""

    name: str
    pipeline: Pipeline
    threshold: float
    metrics: dict[
        str, float
    ]  # out-of-fold: what the selection compares; the hold-out is the gate's


def fit_candidate(name: str, model: ModelFile, frame: pd.DataFrame) -> FittedCandidate:
    """Fit a candidate on typed training rows (features and target labels), hold-out rows left out.

    The result depends on the rows' content and the model's seed, not on the rows' order.

    Raises
    ------
    DataError
        If a label is neither the positive nor the negative one.
    NotEnoughDataError
        With fewer than two distinct rows of a label.
    """
    frame = in_content_order(frame, [*model.feature_names, model.target])
    y = binary_target(model, frame)
    table = Design.of(model).table(frame)
    p = np.zeros(len(frame))
    for train, test in folds(frame, model.feature_names, y):
        pipeline = build_candidate(name, model, model.training.seed)
        pipeline.fit(table.iloc[train], y[train])
        p[test] = pipeline.predict_proba(table.iloc[test])[:, 1]
    threshold = choose_threshold(y, p, model.cost.miss, model.cost.false_alarm)
    pipeline = build_candidate(name, model, model.training.seed).fit(table, y)
    return FittedCandidate(name, pipeline, threshold, evaluate(y, p, threshold, model.cost))


def binary_target(model: ModelFile, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return 1 for the positive label and 0 for the negative one, shape (n,)."""
    labels = frame[model.target]
    if (bad := ~labels.isin(model.labels)).any():
        raise DataError(
            f"{model.name}: the target holds {str(labels[bad].iloc[0])!r}; "
            f"expected {' or '.join(model.labels)}"
        )
    return np.asarray(labels == model.positive_label, dtype=np.int64)
