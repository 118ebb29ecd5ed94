"""Triggers of a retraining, the conditions that suppress it, and the recorded evidence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vigie.drift.reference_profile import build_profile
from vigie.errors import NotEnoughDataError
from vigie.models.model_file import Feature, ModelFile, Retrain
from vigie.models.thresholds import Threshold
from vigie.records import Decision, Prediction
from vigie.retraining.evaluate_triggers import evaluate_triggers
from vigie.testing import FakeServices

NAME = "m"


@pytest.fixture
def model(services: FakeServices) -> ModelFile:
    """Return a model with one feature and a reference table."""
    (services.paths.data / "m.csv").write_text("x,y\n1,NO\n2,YES\n")
    return ModelFile(
        name=NAME,
        title="",
        target="y",
        positive_label="YES",
        negative_label="NO",
        reference="m.csv",
        reference_share=1.0,
        features=(Feature("x", "float"),),
        path=Path("nowhere.toml"),
        retrain=Retrain(min_rows=100, min_labelled=10, performance_floor=0.8),
    )


def with_champion(services: FakeServices) -> None:
    profile = build_profile(pd.DataFrame({"x": range(200)}), {"x": "float"})
    files = {"profile.json": json.dumps(profile).encode()}
    services.bundles.publish(NAME, 1, files, {"threshold": 0.5})
    services.deployments.deploy(NAME, 1, expected_number=0, actor="t", reason="first")


def answer(
    services: FakeServices, n: int, *, labelled: int = 0, right: bool = True, shift: float = 0.0
) -> None:
    """Add ``n`` predictions for rows like the reference, or shifted, and label the first ones."""
    start = services.predictions.count()
    for i in range(start, start + n):
        is_yes = i % 2 == 0
        p = 0.9 if is_yes == right else 0.1
        features = {"x": float(i * 37 % 200) + shift}
        services.predictions.add(
            Prediction(f"t{i}", NAME, 1, features, "YES", p, "", services.now(), 1.0)
        )
        if i - start < labelled:
            services.labels.add(f"t{i}", "YES" if is_yes else "NO")


def evidence(services: FakeServices, run_id: str = "r") -> dict[str, Any]:
    return dict(services.ledger.decisions(kind="trigger", run_id=run_id)[0].evidence)


def test_a_missing_champion_triggers_a_training(services: FakeServices, model: ModelFile) -> None:
    report = evaluate_triggers(services, model=model, run_id="r")
    assert (report.should_train, report.fired) == (True, ("no_champion",))


def test_a_decision_without_a_fired_trigger_is_recorded_with_its_numbers(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 60, labelled=20)
    report = evaluate_triggers(services, model=model, run_id="r")
    assert not report.should_train
    triggers = evidence(services)["triggers"]
    assert (triggers["rows"]["value"], triggers["rows"]["threshold"]) == (20, 100)
    assert triggers["drift"]["fired"] is False
    assert triggers["performance"]["value"] == 1.0


@pytest.mark.parametrize(("n", "asks"), [(99, False), (100, True)])
def test_rows_fire_at_the_threshold(
    services: FakeServices, model: ModelFile, n: int, asks: bool
) -> None:
    with_champion(services)
    answer(services, n, labelled=n)
    assert evaluate_triggers(services, model=model, run_id="r").should_train is asks


def test_drift_fires_with_fewer_rows_than_min_rows(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 60, labelled=20, shift=300.0)
    assert evaluate_triggers(services, model=model, run_id="r").fired == ("drift",)


def test_the_newest_drift_report_about_this_champion_counts(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 60, labelled=20)
    services.clock.advance(hours=6)
    services.ledger.record(Decision("d", NAME, "drift", "yes", (), {"drift_score": 0.5}))
    assert evaluate_triggers(services, model=model, run_id="r").fired == ("drift",)


def test_a_drift_report_about_an_earlier_champion_does_not_count(
    services: FakeServices, model: ModelFile
) -> None:
    services.ledger.record(Decision("d", NAME, "drift", "yes", (), {"drift_score": 0.5}))
    services.clock.advance(hours=1)
    with_champion(services)
    answer(services, 60, labelled=20)
    assert evaluate_triggers(services, model=model, run_id="r").fired == ()


def test_drift_and_performance_are_unknown_with_too_few_rows(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 5, labelled=5, right=False)
    evaluate_triggers(services, model=model, run_id="r")
    triggers = evidence(services)["triggers"]
    assert triggers["drift"]["fired"] is triggers["performance"]["fired"] is None


def test_performance_below_the_floor_fires(services: FakeServices, model: ModelFile) -> None:
    with_champion(services)
    answer(services, 60, labelled=20, right=False)
    assert evaluate_triggers(services, model=model, run_id="r").fired == ("performance",)


def test_predictions_of_an_earlier_champion_do_not_count(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 60, labelled=20, right=False)
    services.clock.advance(hours=1)
    services.bundles.publish(NAME, 2, dict(services.bundles.open(NAME, 1).files), {})
    services.deployments.deploy(NAME, 2, expected_number=1, actor="t", reason="second")
    assert evaluate_triggers(services, model=model, run_id="r").fired == ()


def test_too_few_labelled_rows_suppress_the_training(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 60, labelled=9, shift=300.0)
    report = evaluate_triggers(services, model=model, run_id="r")
    assert (report.should_train, report.fired) == (False, ("drift",))
    assert any("too few labelled rows: 9" in reason for reason in report.reasons)


def test_a_requested_training_is_not_suppressed(services: FakeServices, model: ModelFile) -> None:
    with_champion(services)
    report = evaluate_triggers(services, model=model, run_id="r", force=True, actor="ana")
    assert report.should_train
    assert services.ledger.decisions(kind="trigger")[0].actor == "ana"


def test_a_given_threshold_overrides_the_model_file(
    services: FakeServices, model: ModelFile
) -> None:
    with_champion(services)
    answer(services, 20, labelled=20)
    given = {"min_rows": Threshold(20, "environment")}
    assert evaluate_triggers(services, model=model, run_id="r", thresholds=given).should_train
    assert evidence(services)["triggers"]["rows"]["source"] == "environment"


def test_the_source_of_a_threshold_is_the_model_file_or_the_default(
    services: FakeServices, model: ModelFile, tmp_path: Path
) -> None:
    path = tmp_path / "m.toml"
    path.write_text("[retrain]\nmin_rows = 100\n")
    evaluate_triggers(services, model=dataclasses.replace(model, path=path), run_id="r")
    triggers = evidence(services)["triggers"]
    assert triggers["rows"]["source"] == "model file"
    assert triggers["drift"]["source"] == "default"


def test_a_second_call_of_a_run_returns_the_recorded_decision(
    services: FakeServices, model: ModelFile
) -> None:
    first = evaluate_triggers(services, model=model, run_id="r")
    with_champion(services)
    assert evaluate_triggers(services, model=model, run_id="r") == first
    assert len(services.ledger.rows) == 1


def test_hysteresis_requires_consecutive_checks(services: FakeServices, model: ModelFile) -> None:
    patient = dataclasses.replace(model, retrain=dataclasses.replace(model.retrain, hysteresis=2))
    with_champion(services)
    answer(services, 60, labelled=20, shift=300.0)
    first = evaluate_triggers(services, model=patient, run_id="r1")
    assert any("hysteresis" in reason for reason in first.reasons)
    assert not evaluate_triggers(services, model=patient, run_id="r1").should_train
    assert evaluate_triggers(services, model=patient, run_id="r2").should_train


def test_the_cool_down_suppresses_a_training(services: FakeServices, model: ModelFile) -> None:
    cool = dataclasses.replace(model, retrain=dataclasses.replace(model.retrain, cooldown_hours=24))
    with_champion(services)
    answer(services, 60, labelled=20, shift=300.0)
    services.state.put(f"retrain:{NAME}:last_training", {"at": services.now().isoformat()})
    services.clock.advance(hours=23)
    held = evaluate_triggers(services, model=cool, run_id="r1")
    assert any("cool-down" in reason for reason in held.reasons)
    services.clock.advance(hours=1)
    assert evaluate_triggers(services, model=cool, run_id="r2").should_train


def test_a_missing_reference_table_is_named(services: FakeServices, model: ModelFile) -> None:
    waiting = dataclasses.replace(model, reference="absent.csv")
    with pytest.raises(NotEnoughDataError, match=r"absent\.csv"):
        evaluate_triggers(services, model=waiting, run_id="r")


def test_every_trigger_is_a_metric(services: FakeServices, model: ModelFile) -> None:
    report = evaluate_triggers(services, model=model, run_id="r")
    fired = {s.labels["trigger"]: s.value for s in report.metrics if "trigger" in s.labels}
    assert fired == {
        "manual": 0.0,
        "no_champion": 1.0,
        "rows": 0.0,
        "drift": 0.0,
        "performance": 0.0,
    }
