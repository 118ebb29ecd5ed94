"""The operator that pushes the metrics of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vigie.operators.base import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

FAILED = frozenset({"failed", "upstream_failed"})


class PushMetricsOperator(JobOperator):
    """Push the metrics in the results of all other tasks, and the outcome of the run.

    Use the operator as a teardown (``.as_teardown()``). The task then also runs after failed tasks,
    and its success does not make a failed run successful.
    """

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.anomaly.detectors.registry import DETECTORS
        from vigie.monitoring.push_metrics import push_metrics

        return push_metrics(
            services,
            dag_id=self.dag_id,
            results=self._results(context),
            failed_tasks=self._failed_tasks(context),
            permanent=tuple(DETECTORS),
        )

    def _results(self, context: Context) -> list[dict[str, Any]]:
        others = sorted(task_id for task_id in context["dag"].task_ids if task_id != self.task_id)
        values = context["ti"].xcom_pull(task_ids=others) or []
        return [value for value in values if isinstance(value, dict)]

    def _failed_tasks(self, context: Context) -> int:
        instance = context["ti"]
        states = instance.get_task_states(dag_id=self.dag_id, run_ids=[str(context["run_id"])])
        return sum(state in FAILED for run in states.values() for state in run.values())
