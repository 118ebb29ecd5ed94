"""Validation of the features of a request."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from vigie.models.model_file import Feature, ModelFile
from vigie.models.request import FeatureError, validate_features

MODEL = ModelFile(
    name="x",
    title="x",
    target="ill",
    positive_label="yes",
    negative_label="no",
    reference="x.csv",
    reference_share=1.0,
    features=(
        Feature("age", "integer", min=0, max=120),
        Feature("weight", "float", min=0),
        Feature("blood", "category", categories=("A", "B")),
        Feature("smoker", "boolean", required=False),
    ),
    accepted=(Feature("note", "integer"),),
    path=Path("x.toml"),
)
GOOD: dict[str, Any] = {"blood": "A", "weight": 70, "age": 40.0, "smoker": True}


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(FeatureError) as caught:
        validate_features(MODEL, {**GOOD, **changes})
    return caught.value.fields


def test_clean_features_are_in_the_models_order_and_types() -> None:
    clean = validate_features(MODEL, GOOD)

    assert list(clean.items()) == [
        ("age", 40),
        ("weight", 70.0),
        ("blood", "A"),
        ("smoker", True),
    ]
    assert [type(v) for v in clean.values()] == [int, float, str, bool]


def test_an_optional_feature_may_be_absent_or_null() -> None:
    without = {k: v for k, v in GOOD.items() if k != "smoker"}

    assert validate_features(MODEL, without)["smoker"] is None
    assert validate_features(MODEL, {**GOOD, "smoker": None})["smoker"] is None


def test_an_accepted_feature_is_kept_only_when_it_is_sent() -> None:
    assert validate_features(MODEL, {**GOOD, "note": 7})["note"] == 7
    assert "note" not in validate_features(MODEL, GOOD)


def test_every_wrong_field_is_named() -> None:
    assert set(refused(age=-1, weight="70", blood="C", smoker=1, extra=0)) == {
        "age",
        "weight",
        "blood",
        "smoker",
        "extra",
    }


@pytest.mark.parametrize("value", [True, "5", 5.5, -1, 121, [], {}, math.nan, math.inf, 10**400])
def test_a_value_that_is_not_a_whole_number_in_range_is_rejected(value: object) -> None:
    assert refused(age=value)["age"].startswith("expected a whole number from 0 to 120, found ")


@pytest.mark.parametrize("value", [True, "5", -0.1, math.nan, math.inf, -math.inf, 10**400, b"1"])
def test_a_value_that_is_not_a_finite_number_in_range_is_rejected(value: object) -> None:
    assert refused(weight=value)["weight"].startswith("expected a number of at least 0, found ")


@pytest.mark.parametrize("value", ["C", "a", "", 1, True, ["A"]])
def test_an_unknown_category_is_rejected(value: object) -> None:
    assert refused(blood=value)["blood"].startswith("expected one of A, B, found ")


@pytest.mark.parametrize("value", [0, 1, "true", "yes", 1.0])
def test_a_value_that_is_not_a_boolean_is_rejected(value: object) -> None:
    assert refused(smoker=value)["smoker"].startswith("expected true or false, found ")


def test_the_message_for_a_missing_feature_has_the_accepted_values() -> None:
    without = {k: v for k, v in GOOD.items() if k != "age"}

    with pytest.raises(FeatureError, match="age: required; expected a whole number from 0 to 120"):
        validate_features(MODEL, without)


def test_the_message_for_an_unknown_feature_has_the_closest_name() -> None:
    assert refused(wieght=1)["wieght"] == "unknown; did you mean weight?"
