"""Send what the tasks of a run measured."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.catalogue import JOB_LAST_RUN, JOB_LAST_SUCCESS, JOB_SUCCEEDED, JOB_TASKS_FAILED
from vigie.records import JobReport, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport(JobReport):
    """How many groups and samples were sent."""

    groups: int
    samples: int


def push_metrics(
    services: Services, *, dag_id: str, reports: Iterable[Mapping[str, Any]], failed_tasks: int
) -> PushReport:
    """Push one group a (DAG, model), and the time of the last success in a group of its own.

    The last success has its own group because a push replaces a whole group: a failed run must not
    erase it. On failure of the sink nothing of the run is lost but its figures (TransientError).

    Parameters
    ----------
    services
        Only ``metrics`` and the clock are used.
    dag_id
        The job label of every group.
    reports
        The reports of the run's tasks as XCom gave them (``JobReport.as_xcom``).
    failed_tasks
        How many tasks of the run failed; 0 makes the run a success.
    """
    groups: dict[str, list[Sample]] = defaultdict(list)
    for report in reports:
        for item in report.get("metrics", ()):
            labels = dict(item["labels"])
            groups[labels.pop("model", "")].append(Sample(item["name"], item["value"], labels))
    now = services.now().timestamp()
    groups[""] += [
        Sample(JOB_LAST_RUN, now),
        Sample(JOB_SUCCEEDED, float(failed_tasks == 0)),
        Sample(JOB_TASKS_FAILED, float(failed_tasks)),
    ]
    for model, samples in groups.items():
        services.metrics.push(dag_id, _latest(samples), {"model": model} if model else {})
    if failed_tasks == 0:
        services.metrics.push(dag_id, [Sample(JOB_LAST_SUCCESS, now)], {"outcome": "success"})
    n_samples = sum(len(samples) for samples in groups.values())
    log.info("pushed %d samples in %d groups for %s", n_samples, len(groups), dag_id)
    return PushReport(groups=len(groups), samples=n_samples)


def _latest(samples: Iterable[Sample]) -> list[Sample]:
    """Keep the last value of each series: two tasks may report the same one."""
    series = {(s.name, tuple(sorted(s.labels.items()))): s for s in samples}
    return list(series.values())
