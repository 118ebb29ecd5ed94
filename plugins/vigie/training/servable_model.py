"""A model version in memory: what serving, the gate and the reports ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from vigie.training.design_matrix import Design
from vigie.training.inference import positive_probability


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered row; ``probability`` is that of the positive label."""

    label: str
    probability: float
    message: str


@dataclass(frozen=True, slots=True)
class ServableModel:
    """Pipeline, threshold, labels and reference profile as one immutable object.

    It may be asked from many threads at once. ``profile`` is what drift is measured against.
    """

    name: str
    pipeline: Pipeline
    design: Design
    threshold: float
    negative_label: str
    positive_label: str
    profile: Mapping[str, Any]
    schema: Mapping[str, Any]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.design.features

    def predict(self, rows: Iterable[Mapping[str, Any]]) -> list[Answer]:
        """Answer rows of validated features; keys that the model does not know are ignored."""
        rows = list(rows)
        if not rows:
            return []
        return [self._answer(float(p)) for p in self._probability(self.design.of_rows(rows))]

    def predict_frame(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probability of the positive label for each row, shape (n,)."""
        if frame.empty:
            return np.empty(0)
        return self._probability(self.design.table(frame))

    def label(self, probability: float) -> str:
        """Return the label that the threshold gives to a probability."""
        return self.positive_label if probability >= self.threshold else self.negative_label

    def _probability(self, table: pd.DataFrame) -> NDArray[np.float64]:
        return positive_probability(self.pipeline, table)

    def _answer(self, probability: float) -> Answer:
        label = self.label(probability)
        of = "" if label == self.positive_label else f" of {self.positive_label}"
        return Answer(label, probability, f"{label} (probability{of} {probability:.2f})")
