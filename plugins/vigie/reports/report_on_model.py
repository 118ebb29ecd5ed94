"""Everything that the reporting DAG does for one model, in one call (``vigie drift report``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.errors import NotEnoughDataError
from vigie.models.thresholds import Threshold
from vigie.records import JobResult
from vigie.reports.decide_drift import DriftReport, decide_drift
from vigie.reports.window import Window
from vigie.reports.write_drift_report import write_drift_report
from vigie.reports.write_performance_report import write_performance_report
from vigie.reports.write_quality_report import write_quality_report

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReports(JobResult):
    """The decision, the pages, and why there is no performance page (empty: there is one)."""

    decision: DriftReport
    pages: tuple[Path, ...]
    no_performance: str


def report_on_model(
    services: Services,
    *,
    model: ModelFile,
    window: Window,
    run_id: str,
    thresholds: Mapping[str, Threshold] | None = None,
    actor: str = "vigie",
) -> ModelReports:
    """Write the model's pages and record what they decide.

    Raises
    ------
    NotEnoughDataError
        No champion, or nothing was predicted in the window; the latter is recorded.
    """
    limits = thresholds or {}
    share = limits["drift_share"].value if "drift_share" in limits else None
    decision = decide_drift(
        services, model=model, run_id=run_id, window=window, thresholds=limits, actor=actor
    )
    pages = [
        write_quality_report(services, model=model, window=window).path,
        write_drift_report(services, model=model, window=window, drift_share=share).path,
    ]
    no_performance = ""
    try:
        pages.append(write_performance_report(services, model=model, window=window).path)
    except NotEnoughDataError as exc:
        no_performance = str(exc)
    return ModelReports(
        metrics=decision.metrics,
        decision=decision,
        pages=tuple(pages),
        no_performance=no_performance,
    )
