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
    """Return the features in the model's order, then those under ``accepted`` that were sent.

    An optional feature that is absent or null is None. Values are not converted: ``"5"`` and
    ``true`` are not numbers and ``1`` is not a boolean. Only ``5.0`` is accepted for the integer 5,
    because JSON has one number type.

    Raises
    ------
    FeatureError
        With one message per feature that is missing, unknown, of the wrong type, not finite or out
        of range.
    """
    clean, fields = dict[str, Any](), dict[str, str]()
    for feature in model.features:
        _take(feature, features, clean, fields, needed=feature.required)
    for feature in model.accepted:
        if feature.name in features:
            _take(feature, features, clean, fields, needed=False)
    for name in features:
        if name not in clean and name not in fields:
            fields[str(name)] = _unknown(model, str(name))
    if fields:
        raise FeatureError(fields)
    return clean


def _take(
    feature: Feature,
    features: Mapping[str, Any],
    clean: dict[str, Any],
    fields: dict[str, str],
    *,
    needed: bool,
) -> None:
    value = features.get(feature.name)
    if value is None and needed:
        fields[feature.name] = f"required; expected {describe(feature)}"
    elif value is None:
        clean[feature.name] = None
    else:
        try:
            clean[feature.name] = _converted(feature, value)
        except (ValueError, OverflowError):
            fields[feature.name] = f"expected {describe(feature)}, found {_shown(value)}"


def _converted(feature: Feature, value: Any) -> Any:
    if feature.type == "category":
        return _known(value, isinstance(value, str) and value in feature.categories)
    if feature.type == "boolean":
        return _known(value, isinstance(value, bool))
    _known(value, isinstance(value, int | float) and not isinstance(value, bool))
    number = float(value)
    low = -math.inf if feature.min is None else feature.min
    high = math.inf if feature.max is None else feature.max
    _known(value, math.isfinite(number) and low <= number <= high)
    if feature.type == "float":
        return number
    _known(value, number.is_integer() and abs(number) <= 2**53)
    return int(value)


def _known(value: Any, holds: bool) -> Any:
    if not holds:
        raise ValueError(value)
    return value


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
    return f"unknown; {f'did you mean {close[0]}?' if close else f'not a feature of {model.name}'}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
