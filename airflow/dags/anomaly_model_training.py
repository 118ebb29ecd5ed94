"""### Train the detectors of log lines

`load_training_logs` → one task per detector → `evaluate` → `register` → `push_metrics`

A uniform sample of log lines is normalised and divided: 80 % of the lines train each detector, 10 %
set its threshold (the 99.5 % quantile of their scores), and 10 % test it. The anomalies of the test
are synthetic (shuffled tokens, unseen tokens), because there are no labels.

A detector is promoted if it separates normal and synthetic lines at least as well as the champion.
Otherwise the champion remains deployed, and the run still succeeds. `vigie why --model NAME` prints
the metrics of both versions. The losses and thresholds are in MLflow, in the experiment
`anomaly-detection` (or `MLFLOW_EXPERIMENT_NAME`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag

from vigie.operators import anomaly as step
from vigie.operators.base import DEFAULT_ARGS
from vigie.operators.monitoring import PushMetricsOperator

SCHEDULE = "@weekly"


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULT_ARGS,
    tags=["vigie", "anomaly", "training"],
    doc_md=__doc__,
    params={
        "base_dir": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            description="Log folder. Empty: data/kafka if it has logs, else data/local/logs.",
        ),
        "max_lines": Param(
            5000,
            type="integer",
            minimum=50,
            maximum=200_000,
            description="Maximum number of sampled lines.",
        ),
        "epochs": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=1000,
            description="Maximum number of epochs. Empty: 60, fewer for many lines.",
        ),
    },
)
def anomaly_model_training() -> None:
    load = step.LoadTrainingLogsOperator(
        task_id="load_training_logs",
        base_dir="{{ params.base_dir or '' }}",
        max_lines="{{ params.max_lines }}",
    )
    trained = step.train_all_detectors(epochs="{{ params.epochs }}")
    evaluate = step.EvaluateDetectorsOperator(task_id="evaluate")
    register = step.RegisterDetectorsOperator(task_id="register")
    load >> trained >> evaluate >> register
    register >> PushMetricsOperator(task_id="push_metrics").as_teardown()


anomaly_model_training()
