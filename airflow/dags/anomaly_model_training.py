"""### Train the detectors of log lines

`load_training_logs` → one task a detector → `evaluate` → `register` → `push_metrics`

A uniform sample of log lines is normalised; each detector learns from eight lines of ten, sets its
own threshold on one (the 99.5 % quantile), and is tested on one. The anomalies of the test are
synthetic (shuffled tokens, tokens never seen): there are no labels.

A detector that separates worse than the one that scores now, on the same held-out lines, is not
promoted; that is a result, the run is green. `vigie why --model log_lstm_autoencoder` prints the
figures. Losses and thresholds are in MLflow, experiment `anomaly-detection` (or what
`MLFLOW_EXPERIMENT_NAME` says).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag

from vigie.anomaly.detectors.base import ISOLATION_FOREST, LSTM_AUTOENCODER
from vigie.operators import detectors as step
from vigie.operators.defaults import DEFAULT_ARGS
from vigie.operators.metrics import PushMetricsOperator

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
            description="Folder of the logs. Empty: data/kafka if it has any, else data/local/logs",
        ),
        "max_lines": Param(
            5000, type="integer", minimum=50, maximum=200_000, description="Lines of the sample."
        ),
        "epochs": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=1000,
            description="Epochs of the autoencoder. Empty: 60, fewer for many lines.",
        ),
    },
)
def anomaly_model_training() -> None:
    load = step.LoadTrainingLogsOperator(
        task_id="load_training_logs",
        base_dir="{{ params.base_dir or '' }}",
        max_lines="{{ params.max_lines }}",
    )
    autoencoder = step.TrainDetectorOperator(
        task_id=f"train_{LSTM_AUTOENCODER}",
        detector=LSTM_AUTOENCODER,
        epochs="{{ params.epochs }}",
    )
    forest = step.TrainDetectorOperator(
        task_id=f"train_{ISOLATION_FOREST}", detector=ISOLATION_FOREST
    )
    evaluate = step.EvaluateDetectorsOperator(task_id="evaluate")
    register = step.RegisterDetectorsOperator(task_id="register")
    load >> [autoencoder, forest] >> evaluate >> register
    register >> PushMetricsOperator(task_id="push_metrics").as_teardown()


anomaly_model_training()
