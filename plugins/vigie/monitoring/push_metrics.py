"""Send what the tasks of a run measured."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.catalogue import (
    JOB_LAST_RUN,
    JOB_LAST_SUCCESS,
    JOB_SUCCEEDED,
    JOB_TASKS_FAILED,
    PUSH_FAILURES,
)
from vigie.errors import TransientError, VigieError
from vigie.monitoring.pushed_groups import PushedGroups
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)
_SUCCESS = {"outcome": "success"}
_Group = tuple[dict[str, str], list[Sample]]  # grouping, samples


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport(JobResult):
    """How many groups and samples were sent, and what was not."""

    groups: int
    samples: int
    failed_groups: int = 0
    deleted_groups: int = 0
    problem: str = ""


def push_metrics(
    services: Services, *, dag_id: str, reports: Iterable[Mapping[str, Any]], failed_tasks: int
) -> PushReport:
    """Push one group a (DAG, model), and the time of the last success in a group of its own.

    The last success has its own group because a push replaces a whole group: a failed run must not
    erase it. Groups of models whose file is gone are deleted. A sink that fails costs the run its
    figures and nothing else: the report says so, and ``vigie_push_failures_total`` of later runs.

    Parameters
    ----------
    services
        ``metrics``, ``state``, the models folder and the clock are used.
    dag_id
        The job label of every group.
    reports
        The reports of the run's tasks as XCom gave them (``JobResult.as_xcom``).
    failed_tasks
        How many tasks of the run failed; 0 makes the run a success.
    """
    known = PushedGroups.recall(services, dag_id)
    by_model = _by_model(reports)
    groups = _groups(by_model, services.now().timestamp(), failed_tasks, known.failures)
    sent, problems = _push_all(services, dag_id, groups)
    retired = [] if problems else _delete_retired(services, dag_id, known, set(by_model))
    known.remember(services, pushed=set(by_model) - {""}, retired=retired, failures=len(problems))
    log.info("pushed %d samples in %d groups for %s", sum(sent), len(sent), dag_id)
    return PushReport(
        groups=len(sent),
        samples=sum(sent),
        failed_groups=len(problems),
        deleted_groups=len(retired),
        problem=problems[0] if problems else "",
    )


def forget_metrics(services: Services, *, dag_id: str) -> None:
    """Delete what a job that ended for good pushed of itself; a sink that fails keeps it."""
    try:
        for grouping in ({}, _SUCCESS):
            services.metrics.delete(dag_id, grouping)
    except VigieError as exc:
        log.warning("the figures of %s are still there: %s", dag_id, exc)


def _by_model(reports: Iterable[Mapping[str, Any]]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for report in reports:
        for item in report.get("metrics", ()):
            labels = dict(item["labels"])
            groups[labels.pop("model", "")].append(Sample(item["name"], item["value"], labels))
    return groups


def _groups(
    by_model: Mapping[str, list[Sample]], now: float, failed_tasks: int, failures: int | None
) -> list[_Group]:
    """Return the run's groups; the one of the run itself is the first."""
    run = [
        Sample(JOB_LAST_RUN, now),
        Sample(JOB_SUCCEEDED, float(failed_tasks == 0)),
        Sample(JOB_TASKS_FAILED, float(failed_tasks)),
    ]
    if failures is not None:
        run.append(Sample(PUSH_FAILURES, float(failures)))
    groups: list[_Group] = [({}, _latest([*by_model.get("", ()), *run]))]
    groups += [({"model": model}, _latest(found)) for model, found in by_model.items() if model]
    if failed_tasks == 0:
        groups.append((_SUCCESS, [Sample(JOB_LAST_SUCCESS, now)]))
    return groups


def _push_all(
    services: Services, dag_id: str, groups: Iterable[_Group]
) -> tuple[list[int], list[str]]:
    """Push the groups; return the sizes of those sent and what went wrong with the others.

    A sink that is down is asked once: each question may take its whole timeout.
    """
    sent: list[int] = []
    problems: list[str] = []
    down = ""
    for grouping, samples in groups:
        try:
            if down:
                raise TransientError(down)
            services.metrics.push(dag_id, samples, grouping)
            sent.append(len(samples))
        except VigieError as exc:
            down = str(exc) if isinstance(exc, TransientError) else ""
            problems.append(str(exc))
            log.warning("figures of %s %s were not pushed: %s", dag_id, grouping, exc)
    return sent, problems


def _delete_retired(
    services: Services, dag_id: str, known: PushedGroups, current: set[str]
) -> list[str]:
    """Delete the groups of models that are gone, and return their names."""
    deleted: list[str] = []
    for model in known.retired(services, current):
        try:
            services.metrics.delete(dag_id, {"model": model})
        except VigieError as exc:
            log.warning("the figures of the retired model %s are still there: %s", model, exc)
            break
        log.info("deleted the figures of %s: no model file has this name any more", model)
        deleted.append(model)
    return deleted


def _latest(samples: Iterable[Sample]) -> list[Sample]:
    """Keep the last value of each series: two tasks may report the same one."""
    series = {(s.name, tuple(sorted(s.labels.items()))): s for s in samples}
    return list(series.values())
