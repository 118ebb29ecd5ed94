"""### Score a stream of log lines for anomalies

`wait_for_lag` → `score_stream` (mapped over workers) → `group_incidents` → `push_metrics`

The DAG runs continuously, one run after the other. A run waits *deferred* (in the triggerer,
without a worker slot) until the group has lines to score and a detector is deployed. It then scores
up to `max_lines` lines per worker and ends. If a service does not answer, the run keeps waiting.
Three failed runs in a row pause the DAG.

Each line becomes a document of `mozilla-clogs-index` with `anomaly_score`, `is_anomaly`,
`threshold_used`, `mean_score`, `std_score`, its template and, for an anomaly, the tokens that
contribute most to the score. A message that is not a line of text becomes a dead letter.
Anomalies of one template within ten minutes become one document of `vigie-incidents`. Offsets are
committed after the lines are stored, together with the state of the threshold: a rerun changes
neither counts nor thresholds.

The lines are scored by the champion of `log_lstm_autoencoder`, which `anomaly_model_training`
trains.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Param, dag

from vigie.operators.anomaly import GroupIncidentsOperator, ScoreStreamOperator, WaitForLagOperator
from vigie.operators.base import DEFAULT_ARGS
from vigie.operators.monitoring import PushMetricsOperator

SCHEDULE = "@continuous"
DYNAMIC = "Dynamic threshold: mean + factor * std of the scores so far."
UPDATE_RULES = {"type": "string", "enum": ["all", "winsorised", "skip-anomalies"]}
WORKERS = "Number of workers. Empty: VIGIE_STREAM_WORKERS."
MAX_LINES = "Maximum number of lines per run and worker."
GAP = "Skip lines that retention deleted before they were read."


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    max_consecutive_failed_dag_runs=3,
    default_args=DEFAULT_ARGS,
    tags=["vigie", "anomaly"],
    doc_md=__doc__,
    params={
        "factor": Param(3.0, DYNAMIC, type="number", minimum=0, maximum=100),
        "threshold": Param(None, "Fixed threshold. Empty: dynamic.", type=["null", "number"]),
        "update": Param("all", "Scores that update the dynamic threshold.", **UPDATE_RULES),
        "max_lines": Param(1_000_000, MAX_LINES, type="integer", minimum=1),
        "workers": Param(None, WORKERS, type=["null", "integer"], minimum=1),
        "allow_gap": Param(False, GAP, type="boolean"),
    },
)
def kafka_anomaly_scoring() -> None:
    wait = WaitForLagOperator(task_id="wait_for_lag", workers="{{ params.workers }}")
    score = ScoreStreamOperator.partial(
        task_id="score_stream",
        factor="{{ params.factor }}",
        threshold="{{ params.threshold }}",
        update="{{ params['update'] }}",  # params.update would be the method of dict
        max_lines="{{ params.max_lines }}",
    ).expand(partitions=wait.output)
    group = GroupIncidentsOperator(task_id="group_incidents")
    score >> group >> PushMetricsOperator(task_id="push_metrics").as_teardown()


kafka_anomaly_scoring()
