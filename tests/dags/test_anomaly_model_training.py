"""The DAG that trains the detectors of log lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vigie.anomaly.detectors.registry import DETECTORS

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).resolve().parents[2] / "airflow" / "dags"


@pytest.fixture(scope="module")
def dag() -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS / "anomaly_model_training.py").dags["anomaly_model_training"]


def test_each_detector_has_a_training_task(dag: DAG) -> None:
    trained = {f"train_{name}" for name in DETECTORS}
    assert dag.get_task("load_training_logs").downstream_task_ids == trained
    assert dag.get_task("evaluate").upstream_task_ids == trained
    assert {dag.get_task(task).detector for task in trained} == set(DETECTORS)


def test_evaluation_registration_and_push_follow(dag: DAG) -> None:
    assert dag.get_task("evaluate").downstream_task_ids == {"register"}
    assert dag.get_task("register").downstream_task_ids == {"push_metrics"}


def test_it_runs_weekly(dag: DAG) -> None:
    assert dag.schedule == "@weekly"


@pytest.mark.parametrize(
    ("name", "wrong"), [("max_lines", 10), ("epochs", 0), ("epochs", "many"), ("base_dir", 3)]
)
def test_the_form_rejects_invalid_values(dag: DAG, name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=str(wrong)):
        dag.params.get_param(name).resolve(wrong)
