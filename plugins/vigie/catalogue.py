"""Every metric name, once: jobs, dashboards, rules and tests import from here.

Every series carries its group's labels besides its own: ``job`` (the DAG) and often ``model``.

The names that the source documents print stay as they are; ours are ``vigie_…`` with a unit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family: its name, type (gauge or counter), help text and label names."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {}


def metric(name: str, kind: str, help: str, labels: tuple[str, ...] = ()) -> str:
    """Add a family to the catalogue and return its name."""
    if name in METRICS:
        raise ValueError(f"metric {name} is in the catalogue twice")
    METRICS[name] = Metric(name, kind, help, labels)
    return name


# every job
JOB_LAST_SUCCESS = metric(
    "vigie_job_last_success_timestamp_seconds",
    "gauge",
    "When the job last succeeded (Unix time)",
)
JOB_LAST_RUN = metric("vigie_job_last_run_timestamp_seconds", "gauge", "When the job last ended")
JOB_SUCCEEDED = metric("vigie_job_succeeded", "gauge", "1 if the last run succeeded, 0 if not")
JOB_TASKS_FAILED = metric("vigie_job_failed_tasks", "gauge", "Failed tasks of the last run")
