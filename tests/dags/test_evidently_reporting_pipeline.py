"""The report DAG: tasks, data interval, and Asset events only for positive verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vigie.models.names import model_names

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "airflow" / "dags" / "evidently_reporting_pipeline.py"
REPORTS = ("data_quality_report", "data_drift_report", "model_performance_report")

PROBE = """
import json, sys
from airflow.utils.db import upgradedb
upgradedb()
from airflow.dag_processing.dagbag import DagBag
from sqlalchemy import select
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from vigie.reports.decide_drift import DriftResult
from vigie.operators import reports
from vigie.operators.base import JobOperator

found = {}
JobOperator.execute = lambda self, context: {"metrics": []}

def execute(self, context):
    result = DriftResult(
        model=self.model, run_id="r", model_version=1, drift_score=0.5, drift_reasons=("why",),
        performance_metric="f1", performance=0.1, performance_reasons=("low",), n_current=9,
        n_labelled=9, **found,
    )
    reports.emit_events(result, context)

reports.DecideOperator.execute = execute
dag = DagBag(sys.argv[1]).dags["evidently_reporting_pipeline"]
dag = dag.partial_subset(["breast_cancer.decide"], include_upstream=False)
seen = []
for drifted, degraded in [(False, False), (None, None), (True, False), (True, True)]:
    found.update(is_drifted=drifted, is_degraded=degraded)
    run = dag.test()
    with create_session() as session:
        rows = session.scalars(select(AssetEvent).order_by(AssetEvent.id)).all()
        events = [[row.asset.name, row.extra.get("model")] for row in rows]
    seen.append([str(run.state), events])
print()
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def dag() -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(PATH).dags["evidently_reporting_pipeline"]


def test_each_model_has_three_reports_then_a_decision(dag: DAG) -> None:
    for model in model_names(ROOT / "models"):
        for report in REPORTS:
            assert dag.get_task(f"{model}.{report}").downstream_task_ids == {f"{model}.decide"}
        assert dag.get_task(f"{model}.decide").downstream_task_ids == {"cleanup_old_reports"}


def test_a_skipped_report_does_not_stop_the_decision(dag: DAG) -> None:
    assert dag.get_task("breast_cancer.decide").trigger_rule == "none_failed"


def test_cleaning_and_pushing_are_teardowns(dag: DAG) -> None:
    assert dag.get_task("cleanup_old_reports").is_teardown
    assert dag.get_task("cleanup_old_reports").downstream_task_ids == {"push_metrics"}
    assert dag.get_task("push_metrics").is_teardown


def test_the_data_interval_is_six_hours(dag: DAG) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable

    timetable = coerce_to_core_timetable(dag.timetable)
    noon = pendulum.datetime(2026, 11, 21, 12, 1)
    interval = timetable.infer_manual_data_interval(run_after=noon)
    assert interval.end - interval.start == timedelta(hours=6)
    assert (interval.start.hour, interval.end.hour) == (6, 12)


@pytest.mark.parametrize(
    ("name", "value"), [("hours", 0), ("drift_share", 30), ("model", "unknown")]
)
def test_an_invalid_param_is_refused(dag: DAG, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=str(value)):
        dag.params.get_param(name).resolve(value)


@pytest.mark.airflow
@pytest.mark.timeout(600)
def test_an_asset_event_is_stored_only_for_a_positive_verdict(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(PATH)],
        cwd="/",
        env=os.environ
        | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    seen: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    drift, low = ["drift_detected", "breast_cancer"], ["performance_degraded", "breast_cancer"]
    assert [events for _, events in seen] == [[], [], [drift], [drift, drift, low]]
