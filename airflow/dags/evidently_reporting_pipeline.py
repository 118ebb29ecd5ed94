"""### Report on data quality, drift and performance every six hours

For each model file: `data_quality_report`, `data_drift_report` and `model_performance_report` →
`decide`; then, whatever happened, `cleanup_old_reports` (the newest `MAX_REPORTS` of each kind
stay) and `push_metrics`.

The window is the run's data interval (six hours); a run that a person triggers looks back `hours`.
Pages and their JSON are in `reports/`: `data_drift_report_MODEL_YYYYMMDD_HHMMSS.html`.

`decide` compares the window with the reference that was frozen with the champion, records its
reasons (`vigie why --model M`) and tells `ml_retrain_pipeline` through the Assets `drift_detected`
and `performance_degraded`, only when there is something to tell. A model without a champion, or
that nobody asked anything in the window, is skipped.
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
SCHEDULE = CronDataIntervalTimetable("0 */6 * * *", timezone="UTC")  # a real six-hour interval


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
            description="How far a run that a person triggers looks back.",
        ),
        "drift_share": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            description="Drift is more than this share of drifted columns. "
            "Empty: DRIFT_THRESHOLD, else the model file's.",
        ),
    },
)
def evidently_reporting_pipeline() -> None:
    cleanup = step.CleanupOldReportsOperator(task_id="cleanup_old_reports").as_teardown()
    for name in MODEL_NAMES:
        with TaskGroup(name):
            pages = [
                step.DataQualityReportOperator(task_id="data_quality_report", model=name),
                step.DataDriftReportOperator(task_id="data_drift_report", model=name),
                step.ModelPerformanceReportOperator(task_id="model_performance_report", model=name),
            ]
            decide = step.DecideOperator(
                task_id="decide", model=name, trigger_rule=TriggerRule.NONE_FAILED
            )
            pages >> decide >> cleanup
    cleanup >> PushMetricsOperator(task_id="push_metrics").as_teardown()


evidently_reporting_pipeline()
