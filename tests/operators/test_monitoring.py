"""The task that pushes the metrics of a run; an unavailable Pushgateway does not fail the run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from vigie import catalogue
from vigie.adapters.metrics.pushgateway import Pushgateway
from vigie.operators.monitoring import PushMetricsOperator
from vigie.records import JobResult, Sample
from vigie.settings import Settings
from vigie.testing import FakeServices

UNAVAILABLE = "http://user:secret@127.0.0.1:9"
REPORT = JobResult(metrics=(Sample(catalogue.STREAM_THRESHOLD, 2, {"model": "fraud"}),))


class Instance:
    """A task instance whose run has these tasks."""

    def __init__(self, states: Mapping[str, str]) -> None:
        self.states = states

    def xcom_pull(self, task_ids: list[str]) -> list[Any]:
        return [REPORT.as_xcom() if task == "score" else None for task in task_ids]

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Mapping[str, str]]:
        return {run_id: self.states for run_id in run_ids}


def execute(services: Any, **states: str) -> dict[str, Any]:
    operator = PushMetricsOperator(task_id="push_metrics")
    operator.opened = lambda _: nullcontext((services, Settings.from_env()))
    dag = SimpleNamespace(task_ids={"push_metrics", *states})
    return operator.execute({"dag": dag, "ti": Instance(states), "run_id": "r"})  # type: ignore[arg-type]


def test_it_pushes_the_metrics_of_the_other_tasks(services: FakeServices) -> None:
    report = execute(services, score="success", wait="success")
    assert services.metrics.value(catalogue.STREAM_THRESHOLD) == 2
    assert services.metrics.value(catalogue.JOB_SUCCEEDED) == 1
    assert (report["groups"], report["failed_groups"]) == (3, 0)


def test_it_counts_failed_tasks(services: FakeServices) -> None:
    execute(services, score="failed", group="upstream_failed")
    assert services.metrics.value(catalogue.JOB_TASKS_FAILED) == 2
    assert services.metrics.value(catalogue.JOB_LAST_SUCCESS) is None


def test_an_unavailable_gateway_is_reported_without_failing_the_run(services: FakeServices) -> None:
    services.metrics = Pushgateway(UNAVAILABLE)  # type: ignore[assignment]
    report = execute(services, score="success")
    assert (report["groups"], report["failed_groups"]) == (0, 3)
    assert "127.0.0.1:9" in report["problem"]
    assert "secret" not in report["problem"]
