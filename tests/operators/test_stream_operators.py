"""The operators of the stream and of the training of detectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from vigie.anomaly.detectors.registry import DETECTORS, ISOLATION_FOREST, LSTM_AUTOENCODER
from vigie.anomaly.scoring.stream_lag import LagResult
from vigie.errors import DataError, SettingsError, TransientError
from vigie.operators.anomaly import (
    EvaluateDetectorsOperator,
    GroupIncidentsOperator,
    LoadTrainingLogsOperator,
    RegisterDetectorsOperator,
    ScoreStreamOperator,
    TrainDetectorOperator,
    WaitForLagOperator,
    optional_number,
)
from vigie.operators.base import JobOperator
from vigie.operators.lag_trigger import LagTrigger
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.testing.detectors import NORMAL, deploy_detector
from vigie.wiring import LazyServices

TOPIC = "vigie-logs"
CONTEXT: Any = {"run_id": "manual__2026-11-21T10:00:00+00:00"}
Run = Callable[[JobOperator], Any]


@pytest.fixture
def run(services: FakeServices) -> Run:
    def execute(operator: JobOperator) -> Any:
        operator.opened = lambda _: nullcontext((services, Settings.from_env()))
        return operator.execute(CONTEXT)

    return execute


@pytest.fixture
def waiting(services: FakeServices) -> FakeServices:
    """Return services with lines on three partitions and a detector."""
    services.stream.create_topic(TOPIC, 3)
    services.stream.produce(TOPIC, [Message(b"x 1")] * 5, 1)
    deploy_detector(services, ISOLATION_FOREST)
    return services


@pytest.mark.usefixtures("waiting")
def test_waiting_lines_start_the_workers_at_once(run: Run) -> None:
    operator = WaitForLagOperator(task_id="t", detector=ISOLATION_FOREST, workers=2)
    assert run(operator) == [[0, 2], [1]]


def test_without_lines_the_task_is_deferred(run: Run, services: FakeServices) -> None:
    services.stream.create_topic(TOPIC)
    with pytest.raises(TaskDeferred) as caught:
        run(WaitForLagOperator(task_id="t"))
    assert isinstance(caught.value.trigger, LagTrigger)
    assert caught.value.method_name == "resume"


@pytest.mark.usefixtures("waiting")
def test_without_a_detector_the_task_is_deferred(run: Run) -> None:
    """Otherwise a run would be skipped and started again every few seconds."""
    with pytest.raises(TaskDeferred):
        run(WaitForLagOperator(task_id="t"))


def test_a_service_that_is_down_counts_as_no_lag(run: Run) -> None:
    class Down(WaitForLagOperator):
        def run_job(self, services: Any, settings: Any, context: Any) -> LagResult:
            raise TransientError("refused")

    with pytest.raises(TaskDeferred):
        run(Down(task_id="t"))


def test_wrong_settings_fail_at_once(run: Run) -> None:
    class Wrong(WaitForLagOperator):
        def run_job(self, services: Any, settings: Any, context: Any) -> LagResult:
            raise SettingsError("KAFKA_BOOTSTRAP_SERVERS: no")

    with pytest.raises(AirflowFailException, match="KAFKA"):
        run(Wrong(task_id="t"))


def test_the_events_of_the_trigger_continue_skip_or_fail() -> None:
    operator = WaitForLagOperator(task_id="t")
    assert operator.resume(CONTEXT, {"status": "ready", "workers": [[0]]}) == [[0]]
    with pytest.raises(AirflowSkipException):
        operator.resume(CONTEXT, {"status": "timeout"})
    with pytest.raises(AirflowFailException, match="wrong"):
        operator.resume(CONTEXT, {"status": "error", "message": "wrong"})


async def no_connections() -> dict[str, str]:
    """Return the overrides of an Airflow without Connections."""
    return {}


def trigger(answers: list[Any], max_wait_s: float = 60.0) -> LagTrigger:
    """Return a trigger that gets one of these answers per check, without sleeping."""

    class Scripted(LagTrigger):
        connections = staticmethod(no_connections)

        def look(self, overrides: Mapping[str, str]) -> list[list[int]]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return [[0, 1]] if answer else []

    return Scripted(
        detector="d", workers=1, poll_interval_s=0.0,
        max_wait_s=max_wait_s,
    )  # fmt: skip


def event(waiting: LagTrigger) -> dict[str, Any]:
    async def first() -> Any:
        async for found in waiting.run():
            return found.payload
        return None

    payload: dict[str, Any] = asyncio.run(first())
    return payload


def test_the_trigger_fires_when_there_are_lines() -> None:
    assert event(trigger([0, 0, 7])) == {"status": "ready", "workers": [[0, 1]]}


def test_the_trigger_survives_a_service_that_is_down() -> None:
    answers = [TransientError("refused"), TransientError("refused"), 7]
    assert event(trigger(answers))["status"] == "ready"


def test_the_trigger_ends_on_wrong_settings() -> None:
    assert event(trigger([SettingsError("no")])) == {"status": "error", "message": "no"}


def test_the_trigger_ends_after_max_wait_s() -> None:
    assert event(trigger([0] * 1000, max_wait_s=-1.0)) == {"status": "timeout"}


def test_the_trigger_can_be_rebuilt_from_its_serialisation() -> None:
    first = trigger([])
    path, kwargs = first.serialize()
    assert path == "vigie.operators.lag_trigger.LagTrigger"
    assert LagTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_trigger_reads_the_settings_of_its_process(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_DATABASE_URL", database_url)
    looking = LagTrigger(
        detector="d", workers=1, poll_interval_s=1.0, max_wait_s=1.0
    )  # fmt: skip
    assert looking.look({}) == []


def test_a_connection_overrides_the_settings_of_the_trigger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "of-the-environment:9092")
    seen: list[Mapping[str, str]] = []

    class Looking(LagTrigger):
        async def connections(self) -> dict[str, str]:  # type: ignore[override]
            return {"KAFKA_BOOTSTRAP_SERVERS": "of-the-connection:9092"}

        def look(self, overrides: Mapping[str, str]) -> list[list[int]]:
            seen.append(overrides)
            raise SettingsError("enough")

    waiting = Looking(detector="d", workers=1, poll_interval_s=0.0, max_wait_s=1.0)
    assert event(waiting)["status"] == "error"
    assert seen == [{"KAFKA_BOOTSTRAP_SERVERS": "of-the-connection:9092"}]


@pytest.mark.usefixtures("waiting")
def test_the_number_of_workers_is_a_param_or_a_setting(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_STREAM_WORKERS", "3")
    of_the_setting = WaitForLagOperator(task_id="t", detector=ISOLATION_FOREST, workers="None")
    of_the_param = WaitForLagOperator(task_id="u", detector=ISOLATION_FOREST, workers="2")
    assert [run(of_the_setting), run(of_the_param)] == [[[0], [1], [2]], [[0, 2], [1]]]


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("workers", ["-1", 0])
def test_zero_workers_fail_the_task(run: Run, workers: int | str) -> None:
    operator = WaitForLagOperator(task_id="t", detector=ISOLATION_FOREST, workers=workers)
    with pytest.raises(AirflowFailException, match="at least 1"):
        run(operator)


def test_the_param_workers_is_at_least_one_or_empty() -> None:
    from airflow.dag_processing.dagbag import DagBag

    file = Path(__file__).resolve().parents[2] / "airflow" / "dags" / "kafka_anomaly_scoring.py"
    workers = DagBag(file).dags["kafka_anomaly_scoring"].params.get_param("workers")
    assert [workers.resolve(None), workers.resolve(1)] == [None, 1]
    for wrong in (-1, 0):
        with pytest.raises(ValueError, match="minimum"):
            workers.resolve(wrong)


def test_a_connection_to_kafka_has_a_topic_of_dead_letters(
    waiting: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the Connection sets Kafka as the stream."""
    monkeypatch.setattr(
        "vigie.operators.connections._find",
        lambda conn_id: (
            Connection(
                conn_id=conn_id,
                conn_type="kafka",
                extra=json.dumps({"bootstrap.servers": "kafka.example.org:9092"}),
            )
            if conn_id == "kafka_default"
            else None
        ),
    )
    for role in ("stream", "index", "state", "deployments", "bundles"):
        monkeypatch.setattr(LazyServices, role, getattr(waiting, role))
    waiting.stream.produce(TOPIC, [Message(b"\x00\x01")], 1)
    operator = ScoreStreamOperator(task_id="t", detector=ISOLATION_FOREST)
    assert operator.execute(CONTEXT)["dead_lettered"] == 1
    assert waiting.stream.end_offsets(f"{TOPIC}.dlq") == {0: 1}


@pytest.mark.usefixtures("waiting")
def test_scoring_parses_rendered_params(run: Run) -> None:
    operator = ScoreStreamOperator(
        task_id="t", partitions=[1], detector=ISOLATION_FOREST,
        factor="3.0", threshold="None", update="winsorised", max_lines="3",
    )  # fmt: skip
    assert run(operator)["read"] == 3
    assert run(GroupIncidentsOperator(task_id="g"))["incidents"] == 0


@pytest.mark.usefixtures("waiting")
def test_a_threshold_that_is_no_number_fails_without_a_retry(run: Run) -> None:
    operator = ScoreStreamOperator(task_id="t", detector=ISOLATION_FOREST, threshold="high")
    with pytest.raises(AirflowFailException, match="high"):
        run(operator)


def test_an_optional_number_may_be_missing() -> None:
    assert [optional_number(v) for v in (None, "", "None", "2", 3)] == [None, None, None, 2.0, 3.0]
    with pytest.raises(DataError):
        optional_number("x")


def test_a_missing_topic_skips_scoring(run: Run) -> None:
    with pytest.raises(AirflowSkipException):
        run(ScoreStreamOperator(task_id="t"))


def test_training_runs_from_task_to_task(
    run: Run, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    folder = services.paths.root / "mine"
    folder.mkdir()
    (folder / "a.log").write_text("".join(f"{line}\n" for line in NORMAL * 20))
    sample = run(LoadTrainingLogsOperator(task_id="a", base_dir="mine", max_lines="200"))
    assert Path(sample["dataset"]).name == "manual__2026-11-21T10-00-00-00-00.txt.gz"
    forest = TrainDetectorOperator(task_id="b", detector=ISOLATION_FOREST, epochs="None")
    assert run(forest)["lines"] == 160
    autoencoder = TrainDetectorOperator(task_id="c", detector=LSTM_AUTOENCODER, epochs="2")
    assert run(autoencoder)["epochs"] == 2
    assert set(run(EvaluateDetectorsOperator(task_id="d"))["auc"]) == set(DETECTORS)
    assert set(run(RegisterDetectorsOperator(task_id="e"))["promoted"]) == set(DETECTORS)
    assert {tracked.experiment for tracked in services.tracker.runs} == {"mine"}
