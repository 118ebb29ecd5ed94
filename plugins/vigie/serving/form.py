"""A form with one input per feature of a model file, in groups that fit on a screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from vigie.models.reference import load_reference, unseen_rows
from vigie.models.request import describe
from vigie.models.tables import plain

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import Feature, ModelFile

GROUP_SIZE = 10
ONE_GROUP = 16  # the largest number of features that is not divided into groups


def grouped(features: Sequence[Feature]) -> list[tuple[str, tuple[Feature, ...]]]:
    """Divide more than ``ONE_GROUP`` features into titled groups and keep their order.

    The title of a group is the first or the last word of its features' names, if all names share
    it. Otherwise it is the range of positions (``Features 11 to 20``).
    """
    if len(features) <= ONE_GROUP:
        return [("Features", tuple(features))]
    starts = range(0, len(features), GROUP_SIZE)
    groups = [tuple(features[start : start + GROUP_SIZE]) for start in starts]
    return [(_title(group, start), group) for start, group in zip(starts, groups, strict=True)]


def _title(group: Sequence[Feature], start: int) -> str:
    words = [feature.name.split("_") for feature in group]
    for place in (0, -1):
        if len({name[place] for name in words}) == 1:
            return words[0][place].capitalize()
    return f"Features {start + 1} to {start + len(group)}"


def title_of(feature: Feature) -> str:
    """Return the caption of a feature's input."""
    text = feature.title or feature.name.replace("_", " ")
    if text.isupper() and text.replace(" ", "").isalpha():
        text = text.lower()
    return text[:1].upper() + text[1:]


class ModelForm:
    """The inputs of one model's form, in the order of its features.

    The examples are rows of the model's reference table, which is read from ``data_dir``.
    """

    def __init__(self, model: ModelFile, data_dir: Path) -> None:
        self.model = model
        self._data_dir = data_dir
        self.inputs: list[Any] = []

    def draw(self) -> None:
        """Add the inputs to the page, in groups; only the first group is expanded."""
        for place, (title, features) in enumerate(grouped(self.model.features)):
            with gr.Accordion(title, open=place == 0), gr.Row(elem_classes="fields"):
                self.inputs += [_input(feature) for feature in features]

    def features(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the features of a request from the form's values, without empty inputs."""
        pairs = zip(self.model.features, values, strict=True)
        return {
            feature.name: str(value) if feature.type == "category" else value
            for feature, value in pairs
            if value is not None
        }

    def example(self, place: int) -> tuple[list[Any], str]:
        """Return the values and the label of an example row.

        The examples are the rows outside the reference share, or the reference rows if there are
        no others.

        Raises
        ------
        NotEnoughDataError
            If the reference table does not exist.
        """
        row = self._rows.iloc[place % len(self._rows)]
        return [plain(f, row[f.name]) for f in self.model.features], str(row[self.model.target])

    @cached_property
    def _rows(self) -> pd.DataFrame:
        rows = unseen_rows(self.model, self._data_dir)
        return rows if len(rows) else load_reference(self.model, self._data_dir)


def _input(feature: Feature) -> Any:
    label, info = title_of(feature), describe(feature)
    if feature.type == "boolean":
        return gr.Checkbox(label=label, value=False)
    if feature.type == "category":
        return gr.Dropdown(list(feature.categories), label=label, value=None)
    if feature.type == "integer" and (feature.min, feature.max) == (0, 1):
        return gr.Radio([0, 1], label=label, value=None)
    precision = 0 if feature.type == "integer" else None
    info = info.removeprefix("a number ").removeprefix("a whole number ")
    return gr.Number(label=label, info=info, precision=precision, step=_step(feature), value=None)


def _step(feature: Feature) -> float:
    """Return the increment of a number field.

    It is 1 for an integer or without two limits, else a power of ten, at most 1 % of the range.
    """
    if feature.type == "integer" or feature.min is None or feature.max is None:
        return 1
    return 10.0 ** math.floor(math.log10((feature.max - feature.min) or 1.0) - 2)
