"""Input table of a pipeline, computed from rows of features."""

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
    """The input columns of a pipeline: numbers and booleans, categories, and derived numbers.

    Training and serving both use this class, so they compute derived features in the same way.
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
        """Return the input table of requests; a feature that a request omits has no value."""
        values = [[row.get(name) for name in self.features] for row in rows]
        return self.table(pd.DataFrame(values, columns=list(self.features), dtype=object))

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the input table of a frame; missing numbers are NaN, missing categories None."""
        base = [f for f in self.features if f not in self.categories]
        table = frame[base].astype("float64")
        for name in self.categories:
            values = frame[name].astype(object)
            table[name] = values.where(values.notna(), None)
        if self.derive is None:
            return table
        derived = derivation(self.derive)
        return table.join(derived.derive(table)[list(derived.NAMES)].astype("float64"))
