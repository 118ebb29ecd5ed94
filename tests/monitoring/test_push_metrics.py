"""push_metrics: groups per DAG and model, failed runs, failing sinks and removed models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from vigie import catalogue
from vigie.errors import DataError, TransientError, VigieError
from vigie.monitoring.push_metrics import PushResult, push_metrics
from vigie.records import JobResult, Sample
from vigie.testing import FakeServices
from vigie.testing.telemetry import FakeMetrics


def _result(value: float, model: str = "a") -> dict[str, object]:
    sample = Sample(catalogue.JOB_LAST_RUN, value, {"model": model})
    return JobResult(metrics=(sample,)).as_xcom()


def _names(services: FakeServices, *key: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for group, samples in services.metrics.groups.items()
        if all(part in str(group) for part in key)
        for sample in samples
    }


def test_each_model_has_its_own_group(services: FakeServices) -> None:
    result = push_metrics(
        services, dag_id="d", results=[_result(1, "a"), _result(2, "b")], failed_tasks=0
    )
    assert result.groups == 4  # the run, two models, the last success
    assert _names(services, "'model', 'b'") == {catalogue.JOB_LAST_RUN: 2}


def test_a_failed_run_keeps_the_time_of_the_last_success(services: FakeServices) -> None:
    push_metrics(services, dag_id="d", results=[], failed_tasks=0)
    first = _names(services, "success")[catalogue.JOB_LAST_SUCCESS]
    services.clock.advance(seconds=60)
    push_metrics(services, dag_id="d", results=[], failed_tasks=2)
    assert _names(services, "success")[catalogue.JOB_LAST_SUCCESS] == first
    assert _names(services)[catalogue.JOB_SUCCEEDED] == 0
    assert _names(services)[catalogue.JOB_TASKS_FAILED] == 2


def test_a_series_of_two_tasks_is_pushed_once(services: FakeServices) -> None:
    push_metrics(services, dag_id="d", results=[_result(1), _result(2)], failed_tasks=0)
    assert _names(services, "'model', 'a'") == {catalogue.JOB_LAST_RUN: 2}


class FailingMetrics(FakeMetrics):
    """A sink that fails for the groups of the given models (None: for every group)."""

    def __init__(self, error: VigieError, models: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.error, self.models, self.n_pushes = error, models, 0

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        self.n_pushes += 1
        if self.models is None or (grouping or {}).get("model") in self.models:
            raise self.error
        super().push(job, samples, grouping)


def _push(services: FakeServices, *models: str) -> PushResult:
    results = [_result(1, model) for model in models]
    return push_metrics(
        services, dag_id="d", results=results, failed_tasks=0, permanent=["log_lstm_autoencoder"]
    )


def _models(services: FakeServices) -> set[str]:
    return {dict(grouping).get("model", "") for _, grouping in services.metrics.groups} - {""}


def _model_files(services: FakeServices, *names: str) -> None:
    for path in services.paths.models.glob("*.toml"):
        path.unlink()
    for name in names:
        (services.paths.models / f"{name}.toml").touch()


def test_a_sink_that_is_down_does_not_fail_the_run_and_is_tried_once(
    services: FakeServices,
) -> None:
    services.metrics = sink = FailingMetrics(TransientError("http://gateway did not answer"))
    result = _push(services, "a", "b")
    assert (result.groups, result.samples, result.failed_groups) == (0, 0, 4)
    assert result.problem == "http://gateway did not answer"
    assert sink.n_pushes == 1


def test_a_rejected_group_does_not_stop_the_others(services: FakeServices) -> None:
    services.metrics = FailingMetrics(DataError("another type"), ("a",))
    result = _push(services, "a", "b")
    assert (result.groups, result.failed_groups) == (3, 1)
    assert _models(services) == {"b"}


def test_later_runs_push_the_number_of_failed_pushes(services: FakeServices) -> None:
    services.metrics = FailingMetrics(TransientError("down"))
    _push(services, "a")
    _push(services, "a")
    services.metrics = FakeMetrics()
    _push(services, "a")
    assert services.metrics.value(catalogue.PUSH_FAILURES) == 6


def test_the_group_of_a_removed_model_is_deleted(services: FakeServices) -> None:
    _model_files(services, "a", "b")
    _push(services, "a", "b", "log_lstm_autoencoder")
    _model_files(services, "b")
    assert _push(services, "b").deleted_groups == 1
    assert _models(services) == {"b", "log_lstm_autoencoder"}
    assert _push(services, "b").deleted_groups == 0


def test_a_model_that_a_run_skips_keeps_its_group(services: FakeServices) -> None:
    _model_files(services, "a", "b")
    _push(services, "a", "b")
    assert _push(services, "b").deleted_groups == 0
    assert _models(services) == {"a", "b"}


def test_an_empty_models_folder_deletes_no_group(services: FakeServices) -> None:
    _model_files(services, "a")
    _push(services, "a")
    _model_files(services)
    assert _push(services).deleted_groups == 0


def test_a_database_that_is_down_does_not_stop_the_push(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TransientError("no database")

    monkeypatch.setattr(services.state, "get", fail)
    monkeypatch.setattr(services.state, "put", fail)
    assert _push(services, "a").groups == 3
    assert services.metrics.value(catalogue.PUSH_FAILURES) is None
