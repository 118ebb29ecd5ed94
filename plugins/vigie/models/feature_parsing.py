"""The tables ``[features.NAME]`` and ``[accepted.NAME]`` of a model file."""

from __future__ import annotations

import re
from typing import Any, cast

from vigie.models.model_file import FEATURE_TYPES, Feature, FeatureType
from vigie.models.toml_table import Table, show

_FEATURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def parse_features(tables: Table) -> tuple[Feature, ...]:
    return tuple(_feature(tables, name) for name in tables)


def _feature(tables: Table, name: str) -> Feature:
    table = tables.table(name)
    if not _FEATURE_NAME.fullmatch(name):
        tables.refuse(show(name), "expected a name of letters, digits and _ (give `column` too)")
    feature = Feature(
        name=name,
        type=cast(FeatureType, table.text("type", choices=FEATURE_TYPES)),
        min=table.optional_number("min"),
        max=table.optional_number("max"),
        categories=table.texts("categories", ()),
        required=table.flag("required", True),
        column=table.text("column", name),
        values=_values(table),
        title=table.text("title", name.replace("_", " ")),
    )
    _check_feature(table, feature)
    table.finish()
    return feature


def _values(table: Table) -> dict[str, Any]:
    meanings = table.table("values")
    for key, value in meanings.values.items():
        if not isinstance(value, bool | int | float | str):
            meanings.refuse(key, f"expected a value of the feature, found {show(value)}")
    return dict(meanings.values)


def _check_feature(table: Table, feature: Feature) -> None:
    if feature.type not in FEATURE_TYPES:
        return  # told already; the rest depends on it
    for key in ("min", "max"):
        if key in table and not feature.is_number:
            table.refuse(key, f"expected only with type float or integer, not {feature.type}")
    if feature.min is not None and feature.max is not None and feature.min > feature.max:
        table.refuse("max", f"expected at least min = {feature.min:g}, found {feature.max:g}")
    if feature.type == "category" and not feature.categories:
        table.refuse("categories", "expected the list of values that a category takes")
    if feature.type != "category" and feature.categories:
        table.refuse("categories", f"expected only with type category, not {feature.type}")
