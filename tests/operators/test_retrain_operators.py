"""Operators of ``ml_retrain_pipeline``, executed without a scheduler."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.operators.base import JobOperator, Opened
from vigie.operators.retraining import CheckTriggersOperator, RetrainStepOperator, candidates_of
from vigie.settings import Settings
from vigie.testing import FakeServices

NAME = "breast_cancer"


class Instance:
    """The methods of a task instance that the operators call."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def context(
    services: FakeServices, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)

    def opened(_: Any) -> Opened:
        return nullcontext((services, Settings.from_env()))

    monkeypatch.setattr(JobOperator, "opened", staticmethod(opened))
    return {"run_id": "manual__2026-11-21T10:00:00+00:00", "params": {}, "ti": Instance()}


def with_champion(services: FakeServices) -> None:
    services.bundles.publish(NAME, 1, {"profile.json": b"{}"}, {"threshold": 0.5})
    services.deployments.deploy(NAME, 1, expected_number=0, actor="t", reason="first")


def test_without_a_fired_trigger_the_task_is_skipped_and_its_metrics_are_kept(
    services: FakeServices, context: dict[str, Any]
) -> None:
    with_champion(services)
    with pytest.raises(AirflowSkipException, match="no trigger fired"):
        CheckTriggersOperator(task_id="t", model=NAME).execute(context)
    assert context["ti"].pushed["return_value"]["metrics"]


def test_force_is_recorded_under_a_run_id_that_is_a_file_name(
    services: FakeServices, context: dict[str, Any]
) -> None:
    with_champion(services)
    context["params"] = {"force": True}
    report = CheckTriggersOperator(task_id="t", model=NAME).execute(context)
    assert (report["should_train"], report["fired"]) == (True, ["manual"])
    assert services.ledger.rows[0].run_id == "manual__2026-11-21T10-00-00-00-00"


def test_a_param_overrides_the_environment(
    services: FakeServices, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRAIN_THRESHOLD", "7")
    monkeypatch.setenv("DRIFT_THRESHOLD", "0.7")
    context["params"] = {"min_rows": 5, "drift_share": None}
    CheckTriggersOperator(task_id="t", model=NAME).execute(context)
    triggers = services.ledger.rows[0].evidence["triggers"]
    assert (triggers["rows"]["threshold"], triggers["rows"]["source"]) == (5, "DAG Param")
    assert (triggers["drift"]["threshold"], triggers["drift"]["source"]) == (0.7, "environment")
    assert triggers["performance"]["source"] == "model file"


def test_a_model_that_was_not_requested_is_skipped_without_a_decision(
    services: FakeServices, context: dict[str, Any]
) -> None:
    context["params"] = {"model": "fraud", "force": True}
    with pytest.raises(AirflowSkipException, match="fraud only"):
        CheckTriggersOperator(task_id="t", model=NAME).execute(context)
    assert services.ledger.rows == []


def test_an_invalid_model_file_fails_the_task(
    services: FakeServices, context: dict[str, Any]
) -> None:
    (services.paths.models / f"{NAME}.toml").write_text('name = "breast_cancer"\ntypo = 1\n')
    with pytest.raises(AirflowFailException, match="typo"):
        RetrainStepOperator(task_id="t", step="backup_current_model", model=NAME).execute(context)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[training]\ncandidates = ["xgboost"]\n', ["xgboost"]),
        ("", ["logistic_regression", "random_forest", "xgboost"]),
        ("not toml", ["logistic_regression", "random_forest", "xgboost"]),
        ("training = 3\n", ["logistic_regression", "random_forest", "xgboost"]),
        (
            "[training]\ncandidates = 3\n",
            ["logistic_regression", "random_forest", "xgboost"],
        ),
    ],
)
def test_an_invalid_model_file_does_not_break_the_dag(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    (tmp_path / "m.toml").write_text(text)
    assert candidates_of(tmp_path, "m") == expected
