"""### Retrain the models that need it

For each model file: `check_triggers` → `backup_current_model` → `merge_training_data` →
`train_candidate` (one a candidate) → `select_best` → `gate` → `promote_model` →
`archive_production_data`; then `notify` and `push_metrics`, whatever happened.

Any one trigger suffices: enough new labelled rows, drift, a performance below its floor, a person
(`force`), or no champion yet. A model that nothing asks for is skipped, and so is the promotion
that the gate refuses: the champion stays, the run is green. `vigie why --model M` tells why.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup, chain, dag

from vigie.models.names import model_names
from vigie.operators import retraining as step
from vigie.operators.assets import DRIFT_DETECTED, PERFORMANCE_DEGRADED
from vigie.operators.defaults import DEFAULT_ARGS
from vigie.operators.metrics import PushMetricsOperator

MODELS = Path(__file__).resolve().parents[2] / "models"
MODEL_NAMES = model_names(MODELS)
SCHEDULE = AssetOrTimeSchedule(
    timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"),
    assets=DRIFT_DETECTED | PERFORMANCE_DEGRADED,
)
MODEL_PARAM = {"enum": [None, *MODEL_NAMES], "values_display": {"null": "every model"}}
OVERRULES = "Overrules the environment and the model file; empty: they rule."


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
        "model": Param(None, "Empty: every model.", type=["null", "string"], **MODEL_PARAM),
        "force": Param(False, type="boolean", description="Train whatever the triggers say."),
        "min_rows": Param(None, type=["null", "integer"], minimum=1, description=OVERRULES),
        "drift_share": Param(
            None, type=["null", "number"], minimum=0, maximum=1, description=OVERRULES
        ),
        "performance_floor": Param(
            None, type=["null", "number"], minimum=0, maximum=1, description=OVERRULES
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
            chain(
                step.CheckTriggersOperator(task_id="check_triggers", model=name),
                step.BackupCurrentModelOperator(task_id="backup_current_model", model=name),
                step.MergeTrainingDataOperator(task_id="merge_training_data", model=name),
                train,
                step.SelectBestOperator(task_id="select_best", model=name),
                step.GateOperator(task_id="gate", model=name),
                step.PromoteModelOperator(task_id="promote_model", model=name),
                step.ArchiveProductionDataOperator(task_id="archive_production_data", model=name),
                notify,
            )
    notify >> PushMetricsOperator(task_id="push_metrics").as_teardown()


ml_retrain_pipeline()
