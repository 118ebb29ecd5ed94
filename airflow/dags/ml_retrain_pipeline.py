"""### Retrain the models that need it

For each model file: `check_triggers` → `backup_current_model` → `merge_training_data` →
`train_candidate` (one task per candidate) → `select_best` → `gate` → `promote_model` →
`archive_production_data`; then `notify` and `push_metrics`, even after a failure.

A model is trained if any trigger fires: enough new labelled rows, drift, performance below its
floor, a request (`force`), or no champion yet. If no trigger fires, the tasks of the model are
skipped. If the gate refuses the challenger, the promotion is skipped, the champion remains, and
the run still succeeds. `vigie why --model MODEL` prints the reasons.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup, chain, dag

from vigie.models.names import model_names
from vigie.operators import retraining as step
from vigie.operators.base import DEFAULT_ARGS, DRIFT_DETECTED, PERFORMANCE_DEGRADED
from vigie.operators.monitoring import PushMetricsOperator

MODELS = Path(__file__).resolve().parents[2] / "models"
MODEL_NAMES = model_names(MODELS)
SCHEDULE = AssetOrTimeSchedule(
    timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"),
    assets=DRIFT_DETECTED | PERFORMANCE_DEGRADED,
)
MODEL_PARAM = {"enum": [None, *MODEL_NAMES], "values_display": {"null": "all models"}}
OVERRIDES = "Takes precedence over the environment and the model file. Empty: not set."


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULT_ARGS,
    tags=["vigie", "retrain"],
    doc_md=__doc__,
    params={
        "model": Param(None, "Empty: all models.", type=["null", "string"], **MODEL_PARAM),
        "force": Param(False, type="boolean", description="Train even if no trigger fires."),
        "min_rows": Param(None, type=["null", "integer"], minimum=1, description=OVERRIDES),
        "drift_share": Param(
            None, type=["null", "number"], minimum=0, maximum=1, description=OVERRIDES
        ),
        "performance_floor": Param(
            None, type=["null", "number"], minimum=0, maximum=1, description=OVERRIDES
        ),
    },
)
def ml_retrain_pipeline() -> None:
    notify = step.NotifyRetrainingOperator(task_id="notify", models=MODEL_NAMES).as_teardown()
    for name in MODEL_NAMES:
        with TaskGroup(name):
            train = step.TrainCandidateOperator.partial(
                task_id="train_candidate", model=name, map_index_template="{{ task.candidate }}"
            ).expand(candidate=step.candidates_of(MODELS, name))
            run = partial(step.RetrainStepOperator, model=name)
            chain(
                step.CheckTriggersOperator(task_id="check_triggers", model=name),
                run(task_id="backup_current_model", step="backup_current_model"),
                run(task_id="merge_training_data", step="merge_training_data"),
                train,
                run(task_id="select_best", step="select_best"),
                run(task_id="gate", step="gate_candidate"),
                step.PromoteModelOperator(task_id="promote_model", model=name),
                run(task_id="archive_production_data", step="archive_production_data"),
                notify,
            )
    notify >> PushMetricsOperator(task_id="push_metrics").as_teardown()


ml_retrain_pipeline()
