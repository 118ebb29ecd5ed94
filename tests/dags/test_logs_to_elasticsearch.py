"""The DAG that collects API log lines."""

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

    return DagBag(DAGS / "logs_to_elasticsearch.py").dags["logs_to_elasticsearch"]


def test_the_tasks_and_their_order(dag: DAG) -> None:
    order = ["check_prerequisites", "ingest_logs", "export_dataset", "push_metrics"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for before, after in pairwise(order):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_it_runs_every_five_minutes(dag: DAG) -> None:
    assert dag.schedule == "*/5 * * * *"


@pytest.mark.parametrize("limit", [0, "many", 2_000_000])
def test_an_invalid_limit_is_refused(dag: DAG, limit: object) -> None:
    with pytest.raises(ValueError, match=str(limit)):
        dag.params.get_param("limit").resolve(limit)
