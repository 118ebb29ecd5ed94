"""Convert rows of features to the input table of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie.models.features import derivation

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a pipeline: numbers (including booleans), categories, derived numbers.

    Training and serving use the same class, so a derived feature is computed in one way.
    """

    features: tuple[str, ...]
    categories: tuple[str, ...] = ()
    derive: str | None = None

    @classmethod
    def of(cls, model: ModelFile) -> Design:
        categories = tuple(f.name for f in model.features if f.type == "category")
        return cls(model.feature_names, categories, model.derive)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return the numeric columns, derived ones last."""
        base = tuple(f for f in self.features if f not in self.categories)
        return base if self.derive is None else (*base, *derivation(self.derive).NAMES)

    def of_rows(self, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Return the table of requests; a feature that a request omits is missing."""
        values = [[row.get(name) for name in self.features] for row in rows]
        return self.table(pd.DataFrame(values, columns=list(self.features), dtype=object))

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the input table; missing numbers are NaN (float64), missing categories None."""
        base = [f for f in self.features if f not in self.categories]
        table = frame[base].astype("float64")
        for name in self.categories:
            values = frame[name].astype(object)
            table[name] = values.where(values.notna(), None)
        if self.derive is None:
            return table
        derived = derivation(self.derive)
        return table.join(derived.derive(table)[list(derived.NAMES)].astype("float64"))
