"""The DAG that scores the stream."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).resolve().parents[2] / "airflow" / "dags"


@pytest.fixture(scope="module")
def dag() -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS / "kafka_anomaly_scoring.py").dags["kafka_anomaly_scoring"]


def test_the_tasks_and_their_order(dag: DAG) -> None:
    order = ["wait_for_lag", "score_stream", "group_incidents", "push_metrics"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for before, after in pairwise(order):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_it_runs_continuously_and_pauses_after_repeated_failures(dag: DAG) -> None:
    assert dag.schedule == "@continuous"
    assert dag.max_consecutive_failed_dag_runs == 3


def test_scoring_is_mapped_over_the_workers(dag: DAG) -> None:
    assert dag.get_task("score_stream").is_mapped


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("factor", -1), ("factor", "high"), ("threshold", "x"), ("update", "never"), ("max_lines", 0)],
)
def test_an_invalid_param_is_refused(dag: DAG, name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=str(wrong)):
        dag.params.get_param(name).resolve(wrong)


def test_an_empty_threshold_is_allowed(dag: DAG) -> None:
    assert dag.params.get_param("threshold").resolve(None) is None


def test_scoring_gets_the_params(dag: DAG) -> None:
    """In Jinja, ``params.update`` would be the method of the dictionary, not the key."""
    score = dag.get_task("score_stream")
    rendered = {
        name: dag.get_template_env()
        .from_string(score.partial_kwargs[name])
        .render(params=dag.params)
        for name in ("factor", "threshold", "update", "max_lines")
    }
    assert rendered == {
        "factor": "3.0",
        "threshold": "None",
        "update": "all",
        "max_lines": "1000000",
    }
