"""Operators of ``evidently_reporting_pipeline``: one a report, each for one model."""

from __future__ import annotations

from abc import abstractmethod
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

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.model_file import ModelFile
    from vigie.models.thresholds import Threshold
    from vigie.records import JobResult
    from vigie.reports.decide_drift import DriftReport
    from vigie.reports.window import Window
    from vigie.roles import Services
    from vigie.settings import Settings

#: Runs whose data interval is the window; any other looks back from its start.
SCHEDULED = frozenset({"scheduled", "backfill"})


class ReportStep(ModelOperator):
    """One report of one model; skipped when the Param ``model`` names another one."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        self.require_requested(context)
        model = self.model_file(services)
        return self.step(services, settings, model, window_of(context), context)

    @abstractmethod
    def step(
        self,
        services: Services,
        settings: Settings,
        model: ModelFile,
        window: Window,
        context: Context,
    ) -> JobResult:
        """Call the step's job."""


class DataQualityReportOperator(ReportStep):
    """Write the data-quality page."""

    def step(
        self,
        services: Services,
        settings: Settings,
        model: ModelFile,
        window: Window,
        context: Context,
    ) -> JobResult:
        from vigie.reports.write_quality_report import write_quality_report

        return write_quality_report(services, model=model, window=window)


class DataDriftReportOperator(ReportStep):
    """Write the drift page."""

    def step(
        self,
        services: Services,
        settings: Settings,
        model: ModelFile,
        window: Window,
        context: Context,
    ) -> JobResult:
        from vigie.reports.write_drift_report import write_drift_report

        share = thresholds_of(settings, context).get("drift_share")
        return write_drift_report(
            services, model=model, window=window, drift_share=share.value if share else None
        )


class ModelPerformanceReportOperator(ReportStep):
    """Write the page that holds answers against real labels."""

    def step(
        self,
        services: Services,
        settings: Settings,
        model: ModelFile,
        window: Window,
        context: Context,
    ) -> JobResult:
        from vigie.reports.write_performance_report import write_performance_report

        return write_performance_report(services, model=model, window=window)


class DecideOperator(ReportStep):
    """Record whether data drifted and performance fell; tell other DAGs only when they did."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(outlets=[FINDINGS], **kwargs)

    def step(
        self,
        services: Services,
        settings: Settings,
        model: ModelFile,
        window: Window,
        context: Context,
    ) -> JobResult:
        from vigie.reports.decide_drift import decide_drift

        report = decide_drift(
            services,
            model=model,
            run_id=run_key(context),
            window=window,
            thresholds=thresholds_of(settings, context),
            actor="airflow",
        )
        announce(report, context)
        return report


def announce(report: DriftReport, context: Context) -> None:
    """Add an Asset event for each finding; it is stored when the task succeeds."""
    events = context["outlet_events"][FINDINGS]
    about: dict[str, Any] = {"model": report.model, "run_id": report.run_id}
    if report.is_drifted:
        found = {"drift_score": report.drift_score, "reasons": list(report.drift_reasons)}
        events.add(DRIFT_DETECTED, extra=about | found)
    if report.is_degraded:
        found = {"performance": report.performance, "reasons": list(report.performance_reasons)}
        events.add(PERFORMANCE_DEGRADED, extra=about | found)


class CleanupOldReportsOperator(JobOperator):
    """Keep the ``MAX_REPORTS`` newest reports of each kind and model; a teardown."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.reports.cleanup_old_reports import cleanup_old_reports

        return cleanup_old_reports(services, max_reports=settings.loop.max_reports)


def window_of(context: Context) -> Window:
    """Return the data interval of a scheduled run, else the Param ``hours`` before the run.

    Both are the same for every try of every task of a run.
    """
    from vigie.reports.window import Window

    run = context["dag_run"]
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    is_scheduled = str(getattr(run.run_type, "value", run.run_type)) in SCHEDULED
    if is_scheduled and start and end and start < end:
        return Window(start, end)
    hours = timedelta(hours=float(context["params"]["hours"]))
    return Window(run.run_after - hours, run.run_after)


def thresholds_of(settings: Settings, context: Context) -> dict[str, Threshold]:
    """Return the thresholds of Params and settings; Params take precedence.

    The model file sets the threshold that neither sets.
    """
    from vigie.models.thresholds import thresholds_from

    return thresholds_from(
        ("DAG Param", {"drift_share": context["params"].get("drift_share")}),
        (settings.source("DRIFT_THRESHOLD"), {"drift_share": settings.loop.drift_threshold}),
    )
