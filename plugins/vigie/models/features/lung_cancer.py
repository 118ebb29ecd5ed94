"""The 14 derived features of the lung-cancer model.

The values are exactly those of the columns in the original ``training_dataset.parquet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = (
    "SMOKING_x_AGE",
    "SMOKING_x_ALCOHOL",
    "RESPIRATORY_SYMPTOMS",
    "TOTAL_SYMPTOMS",
    "BEHAVIORAL_RISK_SCORE",
    "SEVERE_SYMPTOMS",
    "AGE_GROUP",
    "HIGH_RISK_PROFILE",
    "AGE_SQUARED",
    "CANCER_TRIAD",
    "SMOKER_WITH_RESP_SYMPTOMS",
    "ADVANCED_SYMPTOMS",
    "SYMPTOMS_PER_AGE",
    "RESP_SYMPTOM_RATIO",
)
RESPIRATORY = ("WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH")
SEVERE = ("SHORTNESS_OF_BREATH", "SWALLOWING_DIFFICULTY", "CHEST_PAIN")
BEHAVIOUR = ("SMOKING", "PEER_PRESSURE", "ALCOHOL")
SYMPTOMS = (
    "YELLOW_FINGERS",
    "ANXIETY",
    "FATIGUE",
    "ALLERGY",
    "WHEEZING",
    "COUGHING",
    "SHORTNESS_OF_BREATH",
    "SWALLOWING_DIFFICULTY",
    "CHEST_PAIN",
)
_AGES = (50, 60, 70)  # highest ages of groups 0, 1 and 2; group 3 contains all higher ages


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the derived columns of a table with the base features.

    GENDER is 1 for men and 0 for women; all features except AGE are 0 or 1. If a value is missing,
    the columns that depend on the value are NaN.

    Examples
    --------
    >>> row = dict.fromkeys((*SYMPTOMS, *BEHAVIOUR), 0) | {"GENDER": 1, "AGE": 64, "SMOKING": 1}
    >>> derive(pd.DataFrame([row]))[["SMOKING_x_AGE", "AGE_GROUP", "HIGH_RISK_PROFILE"]].values
    array([[64.,  2.,  1.]])
    """
    age, smoking = frame["AGE"], frame["SMOKING"]
    respiratory, severe = _count(frame, RESPIRATORY), _count(frame, SEVERE)
    total = _count(frame, SYMPTOMS)
    older = sum((age > limit).astype(float) for limit in _AGES)
    columns = {
        "SMOKING_x_AGE": smoking * age,
        "SMOKING_x_ALCOHOL": smoking * frame["ALCOHOL"],
        "RESPIRATORY_SYMPTOMS": respiratory,
        "TOTAL_SYMPTOMS": total,
        "BEHAVIORAL_RISK_SCORE": _count(frame, BEHAVIOUR),
        "SEVERE_SYMPTOMS": severe,
        "AGE_GROUP": _where_known(older, age),
        "HIGH_RISK_PROFILE": _where_known(age > 60, age) * frame["GENDER"] * smoking,
        "AGE_SQUARED": age**2,
        "CANCER_TRIAD": frame["COUGHING"] * frame["CHEST_PAIN"] * frame["SHORTNESS_OF_BREATH"],
        "SMOKER_WITH_RESP_SYMPTOMS": smoking * _where_known(respiratory > 0, respiratory),
        "ADVANCED_SYMPTOMS": frame["SWALLOWING_DIFFICULTY"] * frame["CHEST_PAIN"],
        "SYMPTOMS_PER_AGE": total / (age + 1),
        "RESP_SYMPTOM_RATIO": respiratory / (total + 1),
    }
    return pd.DataFrame(columns, index=frame.index).astype("float64")


def _count(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return frame[list(columns)].astype("float64").sum(axis=1, skipna=False)


def _where_known(values: pd.Series, known: pd.Series) -> pd.Series:
    return values.astype("float64").where(known.notna())
