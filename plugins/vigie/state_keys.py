"""Keys of the ``state`` table: every small value that the database keeps between runs.

A key is part of the stored data: changing its text loses what an earlier version stored under it.
"""

from __future__ import annotations


def collector_cursor(source: str) -> str:
    """Cursor of the collector in one source of API log lines."""
    return f"collector:{source}"


def ingested_file(topic: str, file: str = "") -> str:
    """Read position of ``ingest`` in one log file; without ``file``, the prefix of all files."""
    return f"ingest:{topic}:{file}"


def pending_incidents(index: str, topic: str, partition: int) -> str:
    """Earliest anomaly of a partition that belongs to no incident yet, and the change number."""
    return f"incidents:{index}:{topic}:{partition}"


def grouped_incidents(index: str, topic: str, partition: int) -> str:
    """Number of the last change of a partition that ``group_incidents`` has processed."""
    return f"{pending_incidents(index, topic, partition)}:done"


def pushed_groups(dag_id: str) -> str:
    """Models whose metrics a DAG has pushed, and its count of failed pushes."""
    return f"pushed_groups:{dag_id}"


def trigger_streaks(model: str) -> str:
    """Number of consecutive checks in which each retraining trigger fired."""
    return f"retrain:{model}:streaks"


def last_training(model: str) -> str:
    """Time at which the gate judged the last training; the cool-down starts there."""
    return f"retrain:{model}:last_training"


def rollback_target(model: str) -> str:
    """Version that the last retraining verified as a target for rollback."""
    return f"retrain:{model}:rollback_target"


def merged_table(model: str, run_id: str) -> str:
    """Number of rows in the training table of a run; set once the table is complete."""
    return f"retrain:{model}:merged:{run_id}"


def model_version(model: str, run_id: str) -> str:
    """Version number allocated to a run of the retraining DAG."""
    return f"retrain:{model}:version:{run_id}"


def detector_version(detector: str, run_id: str) -> str:
    """Version number allocated to a run of the detector training DAG."""
    return f"detector-version:{detector}:{run_id}"
