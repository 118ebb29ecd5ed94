"""Confusion matrix and metrics of a classifier, even if all labels are of one class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from vigie.adapters.reporting.pages import Table
from vigie.errors import DataError
from vigie.training.metrics import Confusion

COLUMNS = ("target", "prediction", "probability")


@dataclass(frozen=True, slots=True)
class Classification:
    """The rows with a usable label, prediction and probability, and their confusion matrix.

    ``labels`` are the negative and the positive label; ``counts`` maps (label, prediction) to the
    number of rows.
    """

    rows: pd.DataFrame
    labels: tuple[str, str]
    counts: dict[tuple[str, str], int]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, labels: tuple[str, str]) -> Classification:
        """Count the rows with a usable label, prediction and probability; leave out other rows.

        Raises
        ------
        DataError
            A column is missing.
        """
        if missing := [name for name in COLUMNS if name not in frame.columns]:
            raise DataError(f"the labelled rows lack the columns {', '.join(missing)}")
        probability = pd.to_numeric(frame["probability"], errors="coerce")
        names = ["target", "prediction"]
        is_usable = frame[names].isin(labels).all(axis=1) & probability.between(0, 1)
        rows = frame[names].astype(object).assign(probability=probability.astype("float64"))
        rows = rows[is_usable].reset_index(drop=True)
        found = rows.groupby(names).size().to_dict() if len(rows) else {}
        counts = {(n, p): int(found.get((n, p), 0)) for n, p in product(labels, labels)}
        return cls(rows, labels, counts, _notes(rows, len(frame), labels))

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def metrics(self) -> dict[str, float | None]:
        """Return the metrics of the confusion matrix; an undefined metric is None."""
        negative, positive = self.labels
        confusion = Confusion(
            hits=self.counts[positive, positive],
            misses=self.counts[positive, negative],
            false_alarms=self.counts[negative, positive],
            correct_rejections=self.counts[negative, negative],
        )
        return {n: v if math.isfinite(v) else None for n, v in confusion.metrics().items()}

    def tables(self, prefix: str = "") -> tuple[Table, ...]:
        negative, positive = self.labels
        confusion = Table(
            f"{prefix}Confusion matrix",
            ("", f"predicted {positive}", f"predicted {negative}"),
            [
                (f"label {label}", self.counts[label, positive], self.counts[label, negative])
                for label in (positive, negative)
            ],
        )
        return confusion, Table(f"{prefix}Metrics", ("", "value"), list(self.metrics().items()))

    def as_dict(self) -> dict[str, Any]:
        # Readers of the JSON files depend on these keys.
        counts = {f"was {label}, answered {p}": n for (label, p), n in self.counts.items()}
        return {"n_rows": self.n_rows, "counts": counts, "figures": self.metrics()}


def _notes(rows: pd.DataFrame, n_all: int, labels: tuple[str, str]) -> tuple[str, ...]:
    notes = []
    if n_unusable := n_all - len(rows):
        which = "have no usable label, prediction or probability and are left out"
        notes.append(f"{n_unusable:,} of {n_all:,} rows {which}")
    found = set(rows["target"])
    if len(found) == 1:
        absent = next(label for label in labels if label not in found)
        only = found.pop()
        notes.append(f"all labels are {only}: predictions for {absent} rows cannot be assessed")
    return tuple(notes)
