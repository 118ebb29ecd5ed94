"""### Report on data quality, drift and performance every six hours

For each model file: `data_quality_report`, `data_drift_report` and `model_performance_report` →
`decide`. Afterwards, even if a task failed: `cleanup_old_reports` (keeps the `MAX_REPORTS` newest
reports of each kind and model) and `push_metrics`.

The window is the data interval of the run (six hours), or the last `hours` before a manual run.
The reports are in `reports/` as HTML and JSON: `data_drift_report_MODEL_YYYYMMDD_HHMMSS.html`.

`decide` compares the window with the reference profile of the champion, and records the verdicts
and their reasons (`vigie why --model MODEL`). If the data drifted or the performance fell, it emits
the Asset `drift_detected` or `performance_degraded`, which triggers `ml_retrain_pipeline`. A model
is skipped if it has no champion, or no prediction in the window.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import CronDataIntervalTimetable, Param, TaskGroup, TriggerRule, dag

from vigie.models.names import model_names
from vigie.operators import reports as step
from vigie.operators.base import DEFAULT_ARGS
from vigie.operators.monitoring import PushMetricsOperator

MODEL_NAMES = model_names(Path(__file__).resolve().parents[2] / "models")
MODEL_PARAM = {"enum": [None, *MODEL_NAMES], "values_display": {"null": "every model"}}
# A plain cron expression would not give each run a data interval of six hours.
SCHEDULE = CronDataIntervalTimetable("0 */6 * * *", timezone="UTC")


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULT_ARGS,
    tags=["vigie", "reports"],
    doc_md=__doc__,
    params={
        "model": Param(None, "Empty: every model.", type=["null", "string"], **MODEL_PARAM),
        "hours": Param(
            6,
            type="number",
            exclusiveMinimum=0,
            maximum=8784,
            description="Length of the window of a manually triggered run, in hours.",
        ),
        "drift_share": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            description="The data has drifted if more than this share of columns has drifted. "
            "Empty: DRIFT_THRESHOLD if set, else the model file.",
        ),
    },
)
def evidently_reporting_pipeline() -> None:
    cleanup = step.CleanupOldReportsOperator(task_id="cleanup_old_reports").as_teardown()
    for name in MODEL_NAMES:
        with TaskGroup(name):
            decide = step.DecideOperator(
                task_id="decide", model=name, trigger_rule=TriggerRule.NONE_FAILED
            )
            step.report_tasks(name) >> decide >> cleanup
    cleanup >> PushMetricsOperator(task_id="push_metrics").as_teardown()


evidently_reporting_pipeline()
