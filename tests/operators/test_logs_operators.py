"""The operators of log collection, without Airflow's database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.collection.index_specs import MESSAGE
from vigie.errors import SettingsError, TransientError
from vigie.operators.base import JobOperator
from vigie.operators.collection import (
    CheckPrerequisitesOperator,
    ExportDatasetOperator,
    IngestLogsOperator,
)
from vigie.records import Prediction
from vigie.settings import Settings
from vigie.testing import FakeServices

Run = Callable[[JobOperator], dict[str, Any]]


@pytest.fixture
def run(services: FakeServices) -> Run:
    """Run an operator against the fakes, as Airflow would."""

    def execute(operator: JobOperator) -> dict[str, Any]:
        operator.opened = lambda _: nullcontext((services, Settings.from_env()))
        return operator.execute({})  # type: ignore[arg-type]

    return execute


@pytest.fixture
def three_calls(services: FakeServices) -> None:
    for number in range(3):
        services.predictions.add(
            Prediction(
                f"t{number}", "toy", 1, {"a": 1}, "NO", 0.5, "", services.now(), latency_ms=1.0
            )
        )


@pytest.mark.usefixtures("three_calls")
def test_ingest_returns_counts_as_xcom(run: Run, services: FakeServices) -> None:
    report = run(IngestLogsOperator(task_id="t", limit="2"))
    assert (report["read"], report["offset"]) == (2, 2)
    assert report["counts"][MESSAGE.name]["indexed"] == 2
    assert {sample["name"] for sample in report["metrics"]} >= {"vigie_logs_read_lines"}
    assert services.index.count(MESSAGE.name) == 2


@pytest.mark.usefixtures("three_calls")
def test_the_environment_sets_the_values_without_a_param(
    run: Run, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_FILTER_PATTERN", "API Call - GET /health")
    monkeypatch.setenv("ELASTICSEARCH_INDEX", "our-logs")
    report = run(IngestLogsOperator(task_id="t", limit=10))
    assert report["counts"][MESSAGE.name]["filtered"] == 3
    assert services.index.count("our-logs") == 3


@pytest.mark.usefixtures("three_calls")
def test_a_param_overrides_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FILTER_PATTERN", "API Call - GET /health")
    report = run(IngestLogsOperator(task_id="t", limit=10, filter_pattern="POST /predict"))
    assert report["counts"][MESSAGE.name]["indexed"] == 3


def test_check_returns_the_source(run: Run) -> None:
    assert run(CheckPrerequisitesOperator(task_id="t"))["source"] == "in memory"


def test_an_export_without_predictions_is_skipped(run: Run) -> None:
    with pytest.raises(AirflowSkipException):
        run(ExportDatasetOperator(task_id="t"))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TransientError("down"), TransientError),
        (SettingsError("no URL"), AirflowFailException),
    ],
)
def test_only_a_transient_error_is_retried(
    run: Run,
    services: FakeServices,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    raised: type[Exception],
) -> None:
    def check() -> str:
        raise error

    monkeypatch.setattr(services.api_logs, "check", check)
    with pytest.raises(raised):
        run(CheckPrerequisitesOperator(task_id="t"))
