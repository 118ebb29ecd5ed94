"""Push the metrics of a run to the metrics sink."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie import state_keys
from vigie.catalogue import (
    JOB_LAST_RUN,
    JOB_LAST_SUCCESS,
    JOB_SUCCEEDED,
    JOB_TASKS_FAILED,
    PUSH_FAILURES,
)
from vigie.errors import TransientError, VigieError
from vigie.models.names import model_names
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services, StateStore

log = logging.getLogger(__name__)
_SUCCESS = {"outcome": "success"}
_Group = tuple[dict[str, str], list[Sample]]  # grouping, samples


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult(JobResult):
    """Numbers of pushed, failed and deleted groups; ``problem`` is the first error."""

    groups: int
    samples: int
    failed_groups: int = 0
    deleted_groups: int = 0
    problem: str = ""


def push_metrics(
    services: Services,
    *,
    dag_id: str,
    results: Iterable[Mapping[str, Any]],
    failed_tasks: int,
    permanent: Collection[str] = (),
) -> PushResult:
    """Push the metrics of a run: one group for the DAG, and one group per model.

    A push replaces a whole group. The time of the last success is therefore a separate group, which
    only a successful run pushes. The groups of models without a model file are deleted, unless a
    push failed. A failed push does not fail the run: the result and later values of
    ``vigie_push_failures_total`` show the failure.

    ``dag_id`` is the job label of every group. ``results`` are the results of the run's tasks as
    XCom returned them (``JobResult.as_xcom``). If ``failed_tasks`` is 0, the run succeeded.
    ``permanent`` are names without a model file (the detectors) whose groups are never deleted.
    """
    pushed = _PushedGroups.load(services.state, dag_id)
    by_model = _by_model(results)
    groups = _groups(by_model, services.now().timestamp(), failed_tasks, pushed.failures)
    sizes, problems = _push_all(services, dag_id, groups)
    present = model_names(services.paths.models)
    # If the folder is empty, its volume is probably not mounted; delete nothing.
    removed = pushed.models - {*present, *by_model, *permanent} if present else set()
    retired = [] if problems else _delete_groups(services, dag_id, sorted(removed))
    models = set(by_model) - {""}
    pushed.save(services.state, pushed=models, retired=retired, failures=len(problems))
    log.info("pushed %d samples in %d groups for %s", sum(sizes), len(sizes), dag_id)
    return PushResult(
        groups=len(sizes),
        samples=sum(sizes),
        failed_groups=len(problems),
        deleted_groups=len(retired),
        problem=problems[0] if problems else "",
    )


def delete_metrics(services: Services, *, dag_id: str) -> None:
    """Delete the groups of a job, except those of models; if this fails, log a warning."""
    try:
        for grouping in ({}, _SUCCESS):
            services.metrics.delete(dag_id, grouping)
    except VigieError as exc:
        log.warning("cannot delete the metrics of %s: %s", dag_id, exc)


@dataclass(frozen=True, slots=True)
class _PushedGroups:
    """The models for which earlier runs pushed a group, and the number of failed pushes.

    The models are stored because a Pushgateway keeps a group until a client deletes the group.
    ``failures`` is None if the stored values could not be read.
    """

    dag_id: str
    models: frozenset[str]
    failures: int | None

    @classmethod
    def load(cls, state: StateStore, dag_id: str) -> _PushedGroups:
        """Read the stored values; if the database fails, log a warning and continue."""
        try:
            stored = state.get(state_keys.pushed_groups(dag_id)) or {}
        except VigieError as exc:
            log.warning("cannot read which metrics %s pushed before: %s", dag_id, exc)
            return cls(dag_id, frozenset(), None)
        return cls(dag_id, frozenset(stored.get("models", ())), int(stored.get("failures", 0)))

    def save(
        self, state: StateStore, *, pushed: Collection[str], retired: Collection[str], failures: int
    ) -> None:
        """Store the models that have groups and the failures, unless :meth:`load` failed."""
        if self.failures is None:
            return
        models = sorted((self.models | {*pushed}) - {*retired})
        value = {"models": models, "failures": self.failures + failures}
        try:
            state.put(state_keys.pushed_groups(self.dag_id), value)
        except VigieError as exc:
            log.warning("cannot store which metrics %s pushed: %s", self.dag_id, exc)


def _by_model(results: Iterable[Mapping[str, Any]]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for result in results:
        for item in result.get("metrics", ()):
            labels = dict(item["labels"])
            groups[labels.pop("model", "")].append(Sample(item["name"], item["value"], labels))
    return groups


def _groups(
    by_model: Mapping[str, list[Sample]], now: float, failed_tasks: int, failures: int | None
) -> list[_Group]:
    """Return the groups of the run; the first group contains the metrics of the run itself."""
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
    """Push the groups; return the sizes of the pushed groups and the errors of the other groups.

    After a transient error, the remaining groups are not tried, because each attempt may take the
    full timeout. The sink is opened in the ``try`` block, because a wrong address must not fail the
    run.
    """
    sizes: list[int] = []
    problems: list[str] = []
    down = ""
    for grouping, samples in groups:
        try:
            if down:
                raise TransientError(down)
            services.metrics.push(dag_id, samples, grouping)
            sizes.append(len(samples))
        except VigieError as exc:
            down = str(exc) if isinstance(exc, TransientError) else ""
            problems.append(str(exc))
            log.warning("cannot push the metrics of %s %s: %s", dag_id, grouping, exc)
    return sizes, problems


def _delete_groups(services: Services, dag_id: str, models: Iterable[str]) -> list[str]:
    """Delete the groups of models up to the first error; return the models with deleted groups."""
    deleted: list[str] = []
    for model in models:
        try:
            services.metrics.delete(dag_id, {"model": model})
        except VigieError as exc:
            log.warning("cannot delete the metrics of the removed model %s: %s", model, exc)
            break
        log.info("deleted the metrics of %s: its model file was removed", model)
        deleted.append(model)
    return deleted


def _latest(samples: Iterable[Sample]) -> list[Sample]:
    """Keep the last value of each series, because two tasks may report the same series."""
    return list({(s.name, tuple(sorted(s.labels.items()))): s for s in samples}.values())
