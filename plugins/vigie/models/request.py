"""Validate the features of a request against the model file."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from vigie.errors import DataError
from vigie.models.model_file import Feature, ModelFile


class FeatureError(DataError):
    """The features of a request are invalid; ``fields`` has one message per feature."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in fields.items()))
        self.fields = dict(fields)


def validate_features(model: ModelFile, features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validated features in the model's order, then the ``accepted`` ones sent.

    An optional feature that is absent or null is None in the result. Numbers are returned with the
    type of the feature: ``5`` as 5.0 for a float, and ``5.0`` as 5 for an integer. Other values are
    not converted: ``"5"`` and ``true`` are not numbers and ``1`` is not a boolean.

    Raises
    ------
    FeatureError
        If a feature is missing, unknown, of the wrong type, not finite or out of range. There is
        one message per invalid feature.
    """
    clean: dict[str, Any] = {}
    fields: dict[str, str] = {}
    sent = [feature for feature in model.accepted if feature.name in features]
    for feature in (*model.features, *sent):
        value = features.get(feature.name)
        clean[feature.name] = None if value is None else _converted(feature, value)
        if value is None and feature.required and feature not in sent:
            fields[feature.name] = f"required; expected {describe(feature)}"
        elif value is not None and clean[feature.name] is None:
            fields[feature.name] = f"expected {describe(feature)}, found {_shown(value)}"
    for name in map(str, features):
        if name not in clean:
            fields[name] = _unknown(model, name)
    if fields:
        raise FeatureError(fields)
    return clean


def _converted(feature: Feature, value: Any) -> Any:
    """Return the value with the feature's type; None if the feature does not accept it."""
    if feature.type == "category":
        return value if isinstance(value, str) and value in feature.categories else None
    if feature.type == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    low = -math.inf if feature.min is None else feature.min
    high = math.inf if feature.max is None else feature.max
    if not (math.isfinite(number) and low <= number <= high):
        return None
    if feature.type == "float":
        return number
    return int(value) if number.is_integer() and abs(number) <= 2**53 else None


def describe(feature: Feature) -> str:
    """Return a description of the values that a feature accepts.

    Examples
    --------
    >>> describe(Feature("age", "integer", min=0, max=120))
    'a whole number from 0 to 120'
    >>> describe(Feature("smoker", "boolean"))
    'true or false'
    """
    if feature.type == "category":
        return f"one of {', '.join(feature.categories)}"
    if feature.type == "boolean":
        return "true or false"
    kind = "a number" if feature.type == "float" else "a whole number"
    if feature.min is not None and feature.max is not None:
        return f"{kind} from {feature.min:g} to {feature.max:g}"
    if feature.min is not None:
        return f"{kind} of at least {feature.min:g}"
    return kind if feature.max is None else f"{kind} of at most {feature.max:g}"


def _unknown(model: ModelFile, name: str) -> str:
    close = difflib.get_close_matches(name, model.feature_names, n=1)
    return (
        f"unknown; did you mean {close[0]}?" if close else f"unknown; not a feature of {model.name}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
