"""Splits by content: independent of row order and types, with duplicates on one side."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.errors import NotEnoughDataError
from vigie.models.tables import row_fractions
from vigie.training.split import folds, holdout_mask, in_content_order

COLUMNS = ["a", "b"]


def frame(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(["x", "y"], n)})


def test_the_share_is_reached_on_average() -> None:
    assert holdout_mask(frame(20_000), COLUMNS, 0.25, 42).mean() == pytest.approx(0.25, abs=0.01)


def test_a_row_never_changes_sides_when_rows_are_added_or_moved() -> None:
    table = frame()
    before = holdout_mask(table, COLUMNS, 0.3, 1)

    longer = pd.concat([frame(50, seed=9), table]).sample(frac=1.0, random_state=3)
    after = pd.Series(holdout_mask(longer, COLUMNS, 0.3, 1), longer["a"].to_numpy())

    assert (after[table["a"].to_numpy()].to_numpy() == before).all()


def test_equal_rows_are_on_one_side() -> None:
    table = frame(100)
    twice = pd.concat([table, table])

    mask = holdout_mask(twice, COLUMNS, 0.5, 0)

    assert (mask[:100] == mask[100:]).all()


def test_another_seed_gives_another_split() -> None:
    assert (holdout_mask(frame(), COLUMNS, 0.5, 0) != holdout_mask(frame(), COLUMNS, 0.5, 1)).any()


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40), st.booleans()), min_size=1))
def test_a_rows_number_does_not_depend_on_how_its_column_is_stored(values: list[object]) -> None:
    as_objects = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    as_floats = as_objects.astype("float64")

    assert (row_fractions(as_objects, ["a"], "s") == row_fractions(as_floats, ["a"], "s")).all()


def test_minus_zero_is_zero_and_every_nan_is_one() -> None:
    table = pd.DataFrame({"a": [0.0, -0.0, np.nan, -np.nan]})

    one, two, three, four = row_fractions(table, ["a"], "s")

    assert one == two
    assert three == four


def test_text_and_missing_values_differ_from_similar_values() -> None:
    table = pd.DataFrame({"a": pd.Series(["1", 1, None, "None", "nan", ""], dtype=object)})

    assert len(set(row_fractions(table, ["a"], "s"))) == 6


def test_another_process_gives_the_same_numbers() -> None:
    code = (
        "import json, pandas as pd; from vigie.models.tables import row_fractions;"
        "t = pd.DataFrame({'a': [1.5, None], 'b': ['x', None]});"
        "print(json.dumps(list(row_fractions(t, ['a', 'b'], 's'))))"
    )
    out = subprocess.run([sys.executable, "-Ic", code], capture_output=True, check=True)

    here = row_fractions(pd.DataFrame({"a": [1.5, None], "b": ["x", None]}), COLUMNS, "s")

    assert json.loads(out.stdout) == list(here)


def test_the_hash_never_changes() -> None:
    """A change would move rows from the hold-out into training; add a second hash instead."""
    table = pd.DataFrame({"a": [1.5, None], "b": ["x", None]})

    assert row_fractions(table, COLUMNS, "s").round(12).tolist() == [0.49613079651, 0.172709775671]


def test_content_order_does_not_depend_on_the_given_order() -> None:
    table = frame()

    shuffled = table.sample(frac=1.0, random_state=5)

    assert in_content_order(shuffled, COLUMNS)["a"].tolist() == (
        in_content_order(table, COLUMNS)["a"].tolist()
    )


def test_folds_test_each_row_once_and_keep_equal_rows_together() -> None:
    table = pd.concat([frame(60), frame(60)], ignore_index=True)
    y = (table["b"] == "x").to_numpy(dtype=np.int64)

    seen = np.zeros(len(table), dtype=int)
    for train, test in folds(table, COLUMNS, y):
        seen[test] += 1
        assert not set(table["a"].iloc[train]) & set(table["a"].iloc[test])
        assert set(y[train]) == {0, 1}

    assert (seen == 1).all()


@pytest.mark.parametrize("y", [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
def test_too_few_rows_of_a_label_are_not_enough_data(y: list[int]) -> None:
    with pytest.raises(NotEnoughDataError, match="two distinct rows of each label"):
        list(folds(frame(4), COLUMNS, np.array(y)))


def test_duplicates_count_as_one_row() -> None:
    table = pd.concat([frame(1)] * 10 + [frame(20, seed=1)], ignore_index=True)
    y = np.array([1] * 10 + [0] * 20)

    with pytest.raises(NotEnoughDataError, match="found 1 positive and 20 negative"):
        list(folds(table, COLUMNS, y))
