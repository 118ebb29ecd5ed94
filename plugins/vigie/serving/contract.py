"""What a version promised when it was packed, whatever its model file says today."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vigie.errors import DataError
from vigie.models.model_file import Feature, ModelFile


def contract(model: ModelFile, schema: Mapping[str, Any]) -> ModelFile:
    """Return the model file with the features and labels of a bundle's own schema.

    A file edited after the training thus changes nothing that is served before the next training;
    only its titles, which nothing is computed from, are taken from the file of today.

    Raises
    ------
    DataError
        If the schema is another model's, or not a schema.
    """
    if schema.get("model") != model.name:
        raise DataError(f"schema.json: belongs to {schema.get('model')!r}, not {model.name}")
    titles = {feature.name: feature.title for feature in model.features}
    try:
        features = tuple(
            Feature(
                name=known["name"],
                type=known["type"],
                min=known["min"],
                max=known["max"],
                categories=tuple(known["categories"]),
                required=known["required"],
                title=titles.get(known["name"], ""),
            )
            for known in schema["features"]
        )
        return dataclasses.replace(
            model,
            features=features,
            positive_label=schema["positive_label"],
            negative_label=schema["negative_label"],
        )
    except (KeyError, TypeError) as exc:
        raise DataError(f"schema.json: not a schema: {exc!r}") from exc
