"""Operators of ``evidently_reporting_pipeline``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vigie.operators.base import (
    DRIFT_DETECTED,
    FINDINGS,
    PERFORMANCE_DEGRADED,
    JobOperator,
    ModelOperator,
    run_key,
)
from vigie.reports.kinds import KINDS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.thresholds import Threshold
    from vigie.records import JobResult
    from vigie.reports.decide_drift import DriftResult
    from vigie.reports.window import Period, ReportRun
    from vigie.roles import Services
    from vigie.settings import Settings

#: Run types whose data interval is the reported period. For other runs, see :func:`period_of`.
SCHEDULED = frozenset({"scheduled", "backfill"})


class ReportStep(ModelOperator):
    """Base class of tasks for one model, skipped if the Param ``model`` names another model."""

    def report_run(self, services: Services, settings: Settings, context: Context) -> ReportRun:
        """Return the model, period, run id and thresholds, which the model's tasks share."""
        from vigie.reports.window import ReportRun

        self.require_requested(context)
        return ReportRun(
            model=self.model_file(services),
            period=period_of(context),
            run_id=run_key(context),
            thresholds=thresholds_of(settings, context),
            actor="airflow",
        )


class ReportOperator(ReportStep):
    """Write the report of one kind for one model.

    Parameters
    ----------
    kind
        A key of :data:`vigie.reports.kinds.KINDS`; the kind also determines the task id.
    """

    def __init__(self, *, kind: str, **kwargs: Any) -> None:
        super().__init__(**{"task_id": KINDS[kind].task_id} | kwargs)
        self.kind = kind

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.reports.window import load_window
        from vigie.reports.write_report import write_report

        window = load_window(services, self.report_run(services, settings, context))
        return write_report(services, kind=KINDS[self.kind], window=window)


def report_tasks(model: str) -> list[ReportOperator]:
    """Return one task per kind of report."""
    return [ReportOperator(kind=kind, model=model) for kind in KINDS]


class DecideOperator(ReportStep):
    """Record the verdicts on drift and performance; emit an Asset event per positive verdict."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(outlets=[FINDINGS], **kwargs)

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.reports.decide_drift import decide_drift

        result = decide_drift(services, run=self.report_run(services, settings, context))
        emit_events(result, context)
        return result


def emit_events(result: DriftResult, context: Context) -> None:
    """Add an Asset event for each positive verdict; Airflow stores it if the task succeeds."""
    events = context["outlet_events"][FINDINGS]
    about: dict[str, Any] = {"model": result.model, "run_id": result.run_id}
    if result.is_drifted:
        found = {"drift_score": result.drift_score, "reasons": list(result.drift_reasons)}
        events.add(DRIFT_DETECTED, extra=about | found)
    if result.is_degraded:
        found = {"performance": result.performance, "reasons": list(result.performance_reasons)}
        events.add(PERFORMANCE_DEGRADED, extra=about | found)


class CleanupOldReportsOperator(JobOperator):
    """Delete all but the ``MAX_REPORTS`` newest reports of each kind and model."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.reports.write_report import cleanup_old_reports

        return cleanup_old_reports(services, max_reports=settings.loop.max_reports)


def period_of(context: Context) -> Period:
    """Return the data interval of a scheduled run; for another run, the ``hours`` before it.

    The period is the same for all tasks of a run and all their tries.
    """
    from vigie.reports.window import Period

    run = context["dag_run"]
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    is_scheduled = str(getattr(run.run_type, "value", run.run_type)) in SCHEDULED
    if is_scheduled and start and end and start < end:
        return Period(start, end)
    hours = timedelta(hours=float(context["params"]["hours"]))
    return Period(run.run_after - hours, run.run_after)


def thresholds_of(settings: Settings, context: Context) -> dict[str, Threshold]:
    from vigie.wiring import overridden_thresholds

    given = {"drift_share": context["params"].get("drift_share")}
    return overridden_thresholds(settings, "DAG Param", given)
