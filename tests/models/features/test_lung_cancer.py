"""The derived features match the original training table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vigie.errors import DataError
from vigie.models.features import derivation, derivations
from vigie.models.features.lung_cancer import NAMES, derive


@pytest.fixture(scope="module")
def original(shared_data: Path) -> pd.DataFrame:
    table = pd.read_parquet(shared_data / "lung_cancer" / "training_dataset.parquet")
    return table.rename(
        columns=lambda c: "ALCOHOL" if c == "ALCOHOL CONSUMING" else c.replace(" ", "_")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_derived_feature_equals_the_original_one(original: pd.DataFrame, name: str) -> None:
    np.testing.assert_allclose(derive(original)[name], original[name], rtol=1e-12)


def test_the_derived_columns_have_the_order_of_the_original_table(
    original: pd.DataFrame,
) -> None:
    assert list(original.columns[15:29]) == list(NAMES)


def test_a_missing_age_makes_only_the_dependent_columns_nan(original: pd.DataFrame) -> None:
    row = original.head(1).assign(AGE=np.nan)

    unknown = derive(row).isna().iloc[0]

    assert set(unknown[unknown].index) == {
        "SMOKING_x_AGE",
        "AGE_GROUP",
        "HIGH_RISK_PROFILE",
        "AGE_SQUARED",
        "SYMPTOMS_PER_AGE",
    }


def test_derivations_are_listed_and_an_unknown_one_is_refused() -> None:
    assert derivations() == ("lung_cancer",)
    with pytest.raises(DataError, match="available: lung_cancer"):
        derivation("os")
