"""What every DAG's tasks have in common."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

log = logging.getLogger(__name__)

TAGS = frozenset({"vigie", "logs", "anomaly", "reports", "retrain", "training", "fraud"})


def log_failure(context: Mapping[str, Any]) -> None:
    """Tell in one line which task of which run failed, and why (Airflow's failure callback)."""
    instance = context.get("task_instance") or context.get("ti")
    log.error(
        "task failed: dag=%s task=%s run=%s reason=%s",
        getattr(instance, "dag_id", "?"),
        getattr(instance, "task_id", "?"),
        getattr(instance, "run_id", "?"),
        context.get("exception"),
    )


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "vigie",
    "retries": 2,  # only transient errors reach them: the others fail at once (JobOperator)
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "on_failure_callback": log_failure,
}
