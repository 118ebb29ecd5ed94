"""push_metrics: one group a (DAG, model); a failed run does not erase the last success."""

from __future__ import annotations

from vigie import catalogue
from vigie.jobs.push_metrics import push_metrics
from vigie.records import JobReport, Sample
from vigie.testing import FakeServices


def _report(value: float, model: str = "a") -> dict[str, object]:
    sample = Sample(catalogue.JOB_LAST_RUN, value, {"model": model})
    return JobReport(metrics=(sample,)).as_xcom()


def _names(services: FakeServices, *key: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for group, samples in services.metrics.groups.items()
        if all(part in str(group) for part in key)
        for sample in samples
    }


def test_each_model_has_its_own_group(services: FakeServices) -> None:
    report = push_metrics(
        services, dag_id="d", reports=[_report(1, "a"), _report(2, "b")], failed_tasks=0
    )
    assert report.groups == 3
    assert _names(services, "'model', 'b'") == {catalogue.JOB_LAST_RUN: 2}


def test_a_failed_run_keeps_the_time_of_the_last_success(services: FakeServices) -> None:
    push_metrics(services, dag_id="d", reports=[], failed_tasks=0)
    first = _names(services, "success")[catalogue.JOB_LAST_SUCCESS]
    services.clock.advance(seconds=60)
    push_metrics(services, dag_id="d", reports=[], failed_tasks=2)
    assert _names(services, "success")[catalogue.JOB_LAST_SUCCESS] == first
    assert _names(services)[catalogue.JOB_SUCCEEDED] == 0
    assert _names(services)[catalogue.JOB_TASKS_FAILED] == 2


def test_a_series_that_two_tasks_report_is_sent_once(services: FakeServices) -> None:
    push_metrics(services, dag_id="d", reports=[_report(1), _report(2)], failed_tasks=0)
    assert _names(services, "'model', 'a'") == {catalogue.JOB_LAST_RUN: 2}
