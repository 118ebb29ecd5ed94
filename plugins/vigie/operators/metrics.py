"""The last task of every DAG: send the run's figures."""

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
    """Push the ``metrics`` of every other task's report, and whether the run succeeded.

    Use it as a teardown (``.as_teardown()``): it runs whatever happened before it, and does not
    turn a failed run green.
    """

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.monitoring.push_metrics import push_metrics

        return push_metrics(
            services,
            dag_id=self.dag_id,
            reports=self._reports(context),
            failed_tasks=self._failed_tasks(context),
        )

    def _reports(self, context: Context) -> list[dict[str, Any]]:
        others = sorted(task_id for task_id in context["dag"].task_ids if task_id != self.task_id)
        values = context["ti"].xcom_pull(task_ids=others) or []
        return [value for value in values if isinstance(value, dict)]

    def _failed_tasks(self, context: Context) -> int:
        instance = context["ti"]
        states = instance.get_task_states(dag_id=self.dag_id, run_ids=[str(context["run_id"])])
        return sum(state in FAILED for run in states.values() for state in run.values())
