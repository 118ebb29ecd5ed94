"""A failed task fails its run; executed by Airflow.

Each task of each DAG fails once, on a separate metadata database. The use cases are replaced;
trigger rules and teardowns are the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted((ROOT / "airflow" / "dags").glob("*.py"))

PROBE = """
import json, sys
from airflow.utils.db import upgradedb
upgradedb()
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

state = {"fails": None, "reached": False}

def execute(self, context):
    if self.task_id == state["fails"]:
        state["reached"] = True
        raise AirflowFailException("planted")
    return {"metrics": []}

def stub(task):
    if task.is_mapped:  # its arguments must be resolved, or there is nothing to map over
        task.operator_class.execute = execute
    else:
        type(task).execute = execute
        type(task).render_template_fields = lambda *_: None  # reports are stubs

dag = DagBag(sys.argv[1]).dags[sys.argv[2]]
models = sorted({task.task_id.split(".")[0] for task in dag.tasks if "." in task.task_id})
others = tuple(f"{model}." for model in models[1:])  # the first model's group stands for all
kept = [task.task_id for task in dag.tasks if not task.task_id.startswith(others)]
dag = dag.partial_subset(kept, include_upstream=False) if others else dag
for task in dag.tasks:
    stub(task)
results = []
for task in [None, *dag.tasks]:
    state.update(fails=task and task.task_id, reached=False)
    run = dag.test()
    results.append({
        "fails": state["fails"],
        "reached": state["reached"],
        "teardown": bool(task and task.is_teardown),
        "state": str(run.state.value if hasattr(run.state, "value") else run.state),
    })
print()
print(json.dumps(results))
"""


@pytest.fixture(scope="module", params=[path.stem for path in DAG_FILES])
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    path = ROOT / "airflow" / "dags" / f"{request.param}.py"
    home = tmp_path_factory.mktemp("airflow")
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(path), request.param],
        cwd="/",
        env=os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return results


def test_a_run_without_a_failure_succeeds(outcomes: list[dict[str, Any]]) -> None:
    assert [o["state"] for o in outcomes if o["fails"] is None] == ["success"]


def test_a_failed_task_makes_its_run_fail(outcomes: list[dict[str, Any]]) -> None:
    green = [
        o["fails"]
        for o in outcomes
        if o["reached"] and not o["teardown"] and o["state"] != "failed"
    ]
    assert green == []


def test_a_failed_teardown_does_not_make_its_run_fail(outcomes: list[dict[str, Any]]) -> None:
    red = [o["fails"] for o in outcomes if o["teardown"] and o["state"] != "success"]
    assert red == []


def test_at_least_one_failure_was_reached(outcomes: list[dict[str, Any]]) -> None:
    assert any(o["reached"] for o in outcomes)
