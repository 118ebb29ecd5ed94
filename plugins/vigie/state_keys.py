"""Keys of the ``state`` table, which keeps small values between runs.

Do not change the text of a key: values stored by an earlier version would no longer be found.
"""

from __future__ import annotations


def collector_cursor(source: str) -> str:
    """Return the key of the collector's cursor in one source of API log lines."""
    return f"collector:{source}"


def ingested_file(topic: str, file: str = "") -> str:
    """Return the key of the read position in a log file, or the prefix of a topic's keys."""
    return f"ingest:{topic}:{file}"


def pending_incidents(index: str, topic: str, partition: int) -> str:
    """Return the key of a partition's earliest anomaly that is not in an incident yet."""
    return f"incidents:{index}:{topic}:{partition}"


def grouped_incidents(index: str, topic: str, partition: int) -> str:
    """Return the key of a partition's last change that ``group_incidents`` processed."""
    return f"{pending_incidents(index, topic, partition)}:done"


def pushed_groups(dag_id: str) -> str:
    """Return the key of a DAG's pushed models and its number of failed pushes."""
    return f"pushed_groups:{dag_id}"


def trigger_streaks(model: str) -> str:
    """Return the key of the streaks: per trigger, the last consecutive checks that fired."""
    return f"retrain:{model}:streaks"


def last_training(model: str) -> str:
    """Return the key of the time of the last gate decision, at which the cool-down starts."""
    return f"retrain:{model}:last_training"


def rollback_target(model: str) -> str:
    """Return the key of the version that the last retraining verified as its rollback target."""
    return f"retrain:{model}:rollback_target"


def merged_table(model: str, run_id: str) -> str:
    """Return the key of a training table's row count, stored when the table is complete."""
    return f"retrain:{model}:merged:{run_id}"


def model_version(model: str, run_id: str) -> str:
    """Return the key of the version number allocated to a retraining run."""
    return f"retrain:{model}:version:{run_id}"


def detector_version(detector: str, run_id: str) -> str:
    """Return the key of the version number allocated to a detector training run."""
    return f"detector-version:{detector}:{run_id}"
