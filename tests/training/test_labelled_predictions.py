"""Performance of labelled predictions compared with the floor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vigie.models.model_file import Feature, ModelFile, Retrain
from vigie.models.thresholds import Threshold
from vigie.records import LabelledPrediction, Prediction
from vigie.roles import Bundle
from vigie.training.labelled_predictions import Performance, labelled_rows, measure_performance

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = ModelFile(
    name="m",
    title="",
    target="y",
    positive_label="YES",
    negative_label="NO",
    reference="m.csv",
    reference_share=1.0,
    features=(Feature(name="x", type="float"),),
    path=Path("m.toml"),
    retrain=Retrain(min_labelled=4, performance_metric="recall"),
)
BUNDLE = Bundle("m", 1, {}, {"threshold": 0.5}, "")


def row(actual: str | None, probability: float, version: int = 1) -> LabelledPrediction:
    prediction = Prediction("t", "m", version, {}, "YES", probability, "", NOW, 1.0)
    return LabelledPrediction(prediction, actual, NOW)


def measure(rows: list[LabelledPrediction], floor: float | None = 0.8) -> Performance:
    return measure_performance(MODEL, BUNDLE, rows, Threshold(floor, "test"))


def test_only_labelled_rows_of_the_version_count() -> None:
    kept = row("YES", 0.9)
    rows = [kept, row(None, 0.9), row("maybe", 0.9), row("NO", 0.9, version=2)]
    assert labelled_rows(MODEL, rows, 1) == [kept]


@pytest.mark.parametrize(("hit", "is_low"), [(0.9, False), (0.1, True)])
def test_the_metric_is_compared_with_the_floor(hit: float, is_low: bool) -> None:
    found = measure([row("YES", hit)] * 2 + [row("NO", 0.1)] * 2)
    assert (found.is_low, found.value) == (is_low, 1.0 - is_low)
    assert found.metrics["recall"] == found.value


def test_a_metric_can_be_undefined_although_both_labels_occur() -> None:
    model = replace(MODEL, retrain=replace(MODEL.retrain, performance_metric="precision"))
    rows = [row("YES", 0.1), row("NO", 0.1)] * 2
    found = measure_performance(model, BUNDLE, rows, Threshold(0.8, "test"))
    assert (found.is_low, found.value) == (None, None)
    assert found.reason == "precision is undefined for these 4 predictions"


@pytest.mark.parametrize(
    ("rows", "floor", "reason"),
    [
        ([row("YES", 0.9), row("NO", 0.1)], 0.8, "2 labelled predictions of v1; 4 are needed"),
        ([row("YES", 0.9)] * 4, 0.8, "all labels are YES"),
        ([row("YES", 0.9), row("NO", 0.1)] * 2, None, "no floor is set"),
        ([], 0.8, "0 labelled predictions"),
    ],
)
def test_the_verdict_is_unknown_with_a_reason(
    rows: list[LabelledPrediction], floor: float | None, reason: str
) -> None:
    found = measure(rows, floor)
    assert found.is_low is None
    assert reason in found.reason
