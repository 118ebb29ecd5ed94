"""What can be said of a classifier's answers even when all labels are of one class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vigie.adapters.reporting.pages import Table
from vigie.errors import DataError

COLUMNS = ("target", "prediction", "probability")


@dataclass(frozen=True, slots=True)
class ClassificationFacts:
    """Confusion counts of the rows with a known label; ``rows`` are those rows, as plain types."""

    rows: pd.DataFrame
    labels: tuple[str, str]  # negative, positive
    counts: dict[tuple[str, str], int]  # (what was, what was answered) -> rows
    notes: tuple[str, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, labels: tuple[str, str]) -> ClassificationFacts:
        """Count; rows whose label or answer is neither of the model's labels are left out and told.

        Raises
        ------
        DataError
            A column is missing.
        """
        if missing := [name for name in COLUMNS if name not in frame.columns]:
            raise DataError(f"the rows to measure lack the columns {', '.join(missing)}")
        probability = pd.to_numeric(frame["probability"], errors="coerce")
        is_usable = (
            frame["target"].isin(labels)
            & frame["prediction"].isin(labels)
            & probability.between(0, 1)
        )
        rows = pd.DataFrame(
            {
                "target": frame["target"].astype(object),
                "prediction": frame["prediction"].astype(object),
                "probability": probability.astype("float64"),
            }
        )[is_usable].reset_index(drop=True)
        found = rows.groupby(["target", "prediction"]).size().to_dict() if len(rows) else {}
        counts = {(was, said): int(found.get((was, said), 0)) for was in labels for said in labels}
        return cls(rows, labels, counts, _notes(rows, len(frame), labels))

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def figures(self) -> dict[str, float | None]:
        """Return figures that the answered labels give; undefined ones are None."""
        negative, positive = self.labels
        hits, misses = self.counts[positive, positive], self.counts[positive, negative]
        false_alarms = self.counts[negative, positive]
        return {
            "accuracy": _ratio(hits + self.counts[negative, negative], self.n_rows),
            "precision": _ratio(hits, hits + false_alarms),
            "recall": _ratio(hits, hits + misses),
            "f1": _ratio(2 * hits, 2 * hits + misses + false_alarms),
        }

    def tables(self, prefix: str = "") -> tuple[Table, ...]:
        negative, positive = self.labels
        confusion = Table(
            f"{prefix}what was, and what was answered",
            ("", f"answered {positive}", f"answered {negative}"),
            [
                (f"was {was}", self.counts[was, positive], self.counts[was, negative])
                for was in (positive, negative)
            ],
        )
        return confusion, Table(f"{prefix}figures", ("", "value"), list(self.figures().items()))

    def as_dict(self) -> dict[str, Any]:
        counts = {f"was {was}, answered {said}": n for (was, said), n in self.counts.items()}
        return {"n_rows": self.n_rows, "counts": counts, "figures": self.figures()}


def _ratio(part: int, whole: int) -> float | None:
    value = part / whole if whole else math.nan
    return None if math.isnan(value) else value


def _notes(rows: pd.DataFrame, n_all: int, labels: tuple[str, str]) -> tuple[str, ...]:
    notes = []
    if n_all > len(rows):
        notes.append(
            f"{n_all - len(rows):,} of {n_all:,} rows have no usable label and are left out"
        )
    found = set(rows["target"])
    if len(found) == 1:
        absent = next(label for label in labels if label not in found)
        notes.append(f"all labels are {found.pop()}: nothing can be said of {absent} answers")
    return tuple(notes)
