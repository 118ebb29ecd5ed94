"""Every model file is either loaded or rejected with ModelFileError."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vigie.models.loading import ModelFileError, model_of
from vigie.models.model_file import ModelFile

TEXT = """
name = "x"
target = "ill"
positive_label = "yes"
negative_label = "no"
positive_value = 1
reference = "x/table.csv"
[features.age]
type = "integer"
min = 0
max = 120
values = { a = 1 }
[features.blood]
type = "category"
categories = ["A", "B"]
required = false
[accepted.note]
type = "float"
[training]
candidates = ["xgboost"]
seed = 1
[retrain]
min_rows = 5
[gate.guards]
recall = 0.1
[cost]
miss = 2
"""

scalars = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.datetimes(), st.none()
).filter(lambda v: v is not None)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(table: dict[str, Any], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every key."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        found.append((*at, key))
        if isinstance(value, dict):
            found += places(value, (*at, key))
    return found


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(places(tomllib.loads(TEXT))), values)
def test_any_value_at_any_key_is_loaded_or_rejected(place: tuple[str, ...], value: object) -> None:
    content = tomllib.loads(TEXT)
    table = content
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value

    with contextlib.suppress(ModelFileError):
        assert isinstance(model_of(content, Path("models/x.toml")), ModelFile)


@pytest.mark.parametrize("place", places(tomllib.loads(TEXT)), ids=".".join)
def test_the_error_for_a_missing_key_names_it(place: tuple[str, ...]) -> None:
    content = tomllib.loads(TEXT)
    table = content
    for key in place[:-1]:
        table = table[key]
    del table[place[-1]]

    refusal = ""
    try:
        model_of(content, Path("models/x.toml"))
    except ModelFileError as exc:
        refusal = str(exc)

    assert not refusal or place[-1] in refusal
