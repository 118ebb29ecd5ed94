"""Operators of the report pipeline: their period, when they skip, and the events they emit."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.operators.base import DRIFT_DETECTED, FINDINGS, PERFORMANCE_DEGRADED
from vigie.operators.reports import (
    CleanupOldReportsOperator,
    DecideOperator,
    emit_events,
    period_of,
    report_tasks,
    thresholds_of,
)
from vigie.reports.decide_drift import DriftResult
from vigie.settings import Settings
from vigie.testing import FakeServices

END = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Events(list[tuple[Any, dict[str, Any]]]):
    def add(self, asset: Any, extra: dict[str, Any]) -> None:
        self.append((asset, extra))


def context_of(run_type: str = "manual", **params: Any) -> Any:
    return {
        "run_id": "manual__2026-11-21T12:00:00+00:00",
        "dag_run": SimpleNamespace(run_type=run_type, run_after=END),
        "data_interval_start": END - timedelta(hours=12),
        "data_interval_end": END - timedelta(hours=6),
        "params": {"model": "", "hours": 6, "drift_share": None} | params,
        "outlet_events": {FINDINGS: Events()},
    }


def result(**values: Any) -> DriftResult:
    known: dict[str, Any] = {
        "model": "fraud",
        "run_id": "r1",
        "model_version": 3,
        "is_drifted": False,
        "drift_score": 0.5,
        "drift_reasons": ("15 of 30 columns drifted",),
        "is_degraded": False,
        "performance_metric": "f1",
        "performance": 0.4,
        "performance_reasons": ("f1 0.400 is below the floor 0.8",),
        "n_current": 500,
        "n_labelled": 100,
    }
    return DriftResult(**known | values)


def test_a_scheduled_run_reports_on_its_data_interval() -> None:
    period = period_of(context_of("scheduled"))
    assert (period.since, period.until) == (END - timedelta(hours=12), END - timedelta(hours=6))


@pytest.mark.parametrize("hours", [6, 0.5, 48])
def test_a_manual_run_looks_back(hours: float) -> None:
    period = period_of(context_of("manual", hours=hours))
    assert (period.since, period.until) == (END - timedelta(hours=hours), END)


def test_without_a_data_interval_a_run_looks_back() -> None:
    context = context_of("scheduled") | {"data_interval_start": END, "data_interval_end": END}
    assert period_of(context).since == END - timedelta(hours=6)


def test_a_negative_or_unknown_verdict_emits_no_event() -> None:
    context = context_of()
    emit_events(result(is_drifted=None), context)
    assert context["outlet_events"][FINDINGS] == []


def test_each_positive_verdict_emits_an_event_with_model_and_reasons() -> None:
    context = context_of()
    emit_events(result(is_drifted=True, is_degraded=True), context)
    (drift, why), (performance, _) = context["outlet_events"][FINDINGS]
    assert (drift, performance) == (DRIFT_DETECTED, PERFORMANCE_DEGRADED)
    assert why == {
        "model": "fraud",
        "run_id": "r1",
        "drift_score": 0.5,
        "reasons": ["15 of 30 columns drifted"],
    }


def test_the_param_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_THRESHOLD", "0.5")
    settings = Settings.from_env()
    assert thresholds_of(settings, context_of())["drift_share"].value == 0.5
    threshold = thresholds_of(settings, context_of(drift_share=0.1))["drift_share"]
    assert (threshold.value, threshold.source) == (0.1, "DAG Param")


@pytest.fixture
def model_folder(services: FakeServices, project_root: Path) -> None:
    shutil.copy(project_root / "models" / "breast_cancer.toml", services.paths.models)


@pytest.mark.usefixtures("model_folder")
@pytest.mark.parametrize(
    "task",
    [*report_tasks("breast_cancer"), DecideOperator(task_id="decide", model="breast_cancer")],
    ids=lambda task: task.task_id,
)
def test_a_model_without_a_champion_is_skipped(services: FakeServices, task: Any) -> None:
    task.opened = lambda _: nullcontext((services, Settings.from_env()))
    with pytest.raises(AirflowSkipException, match="has no champion yet"):
        task.execute(context_of())


@pytest.mark.usefixtures("model_folder")
def test_a_run_for_another_model_skips_this_one(services: FakeServices) -> None:
    task = DecideOperator(task_id="t", model="breast_cancer")
    task.opened = lambda _: nullcontext((services, Settings.from_env()))
    with pytest.raises(AirflowSkipException, match="requested for fraud only"):
        task.execute(context_of(model="fraud"))
    assert services.ledger.decisions() == []


def test_an_invalid_model_file_fails_the_task(services: FakeServices) -> None:
    (services.paths.models / "toy.toml").write_text("name = 3")
    task = DecideOperator(task_id="t", model="toy")
    task.opened = lambda _: nullcontext((services, Settings.from_env()))
    with pytest.raises(AirflowFailException, match="name"):
        task.execute(context_of())


def test_the_cleanup_keeps_as_many_reports_as_the_settings_state(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_REPORTS", "2")
    for day in range(1, 6):
        name = f"data_drift_report_fraud_202611{day:02}_000000.html"
        (services.paths.reports / name).write_text("page")
    task = CleanupOldReportsOperator(task_id="t")
    task.opened = lambda _: nullcontext((services, Settings.from_env()))
    assert task.execute(context_of())["deleted"] == 3
