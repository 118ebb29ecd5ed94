"""### Collect the API's prediction logs

`check_prerequisites` → `ingest_logs` → `export_dataset` → `push_metrics`

Read the lines that were added to `/logs_api` of the served model since the last run, and write to:

| index | contents |
|---|---|
| `ml-api-logs` | every line |
| `ml-api-message` | predictions with their input and result |
| `ml-api-perfs` | time, CPU and memory of each call |
| `vigie-dead-letters` | lines that could not be parsed or indexed, with the reason |

Then export new predictions to `data/exports/MODEL/inference_dataset.parquet`. A repeated run writes
no duplicates, because the document ids are deterministic.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag

from vigie.operators.base import DEFAULT_ARGS
from vigie.operators.collection import (
    CheckPrerequisitesOperator,
    ExportDatasetOperator,
    IngestLogsOperator,
)
from vigie.operators.monitoring import PushMetricsOperator

SCHEDULE = "*/5 * * * *"


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args=DEFAULT_ARGS,
    tags=["vigie", "logs"],
    doc_md=__doc__,
    params={
        "limit": Param(
            10_000,
            type="integer",
            minimum=1,
            maximum=1_000_000,
            description="Maximum number of lines. The next run continues after the last line.",
        ),
        "filter_pattern": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            description="Lines that contain this text are predictions. "
            "Empty: PIPELINE_FILTER_PATTERN (default: 'API Call - POST /predict').",
        ),
    },
)
def logs_to_elasticsearch() -> None:
    check = CheckPrerequisitesOperator(task_id="check_prerequisites")
    ingest = IngestLogsOperator(
        task_id="ingest_logs",
        limit="{{ params.limit }}",
        filter_pattern="{{ params.filter_pattern or '' }}",
    )
    export = ExportDatasetOperator(task_id="export_dataset")
    check >> ingest >> export >> PushMetricsOperator(task_id="push_metrics").as_teardown()


logs_to_elasticsearch()
