"""Record whether a model's data drifted and whether its performance is below the floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie import catalogue
from vigie.errors import NotEnoughDataError
from vigie.records import Decision, JobResult, Sample
from vigie.registry.decisions import decide
from vigie.reports.kinds import KINDS
from vigie.reports.window import ReportRun, Window, load_window
from vigie.reports.write_report import write_report

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult(JobResult):
    """The verdicts of a run on drift and on performance; None means unknown.

    ``is_degraded`` is also None if no floor is set.
    """

    model: str
    run_id: str
    model_version: int
    is_drifted: bool | None
    drift_score: float | None
    drift_reasons: tuple[str, ...]
    is_degraded: bool | None
    performance_metric: str
    performance: float | None
    performance_reasons: tuple[str, ...]
    n_current: int
    n_labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReportsResult(JobResult):
    """The verdicts on a model and its reports; ``omitted`` maps unwritten reports to reasons."""

    decision: DriftResult
    pages: tuple[Path, ...]
    omitted: dict[str, str]


def decide_drift(services: Services, *, run: ReportRun) -> DriftResult:
    """Record one decision of kind ``drift`` and one of kind ``performance`` per run.

    Without a champion or a prediction, one decision of kind ``report`` with the verdict ``skipped``
    is recorded instead. The drift trigger of a retraining then still reads the previous decision of
    kind ``drift``.

    Raises
    ------
    NotEnoughDataError
        The model has no champion, or there is no prediction in the period.
    """
    return _record(services, _load(services, run))


def report_on_model(services: Services, *, run: ReportRun) -> ModelReportsResult:
    """Record the decisions about a model and write its reports, as the DAG does.

    A report for which the data is missing is not written; the result contains the reason.

    Raises
    ------
    NotEnoughDataError
        The model has no champion, or there is no prediction in the period.
    """
    window = _load(services, run)
    decision = _record(services, window)
    pages, omitted = [], {}
    for kind in KINDS.values():
        try:
            pages.append(write_report(services, kind=kind, window=window).path)
        except NotEnoughDataError as exc:
            omitted[kind.name] = str(exc)
    return ModelReportsResult(
        metrics=decision.metrics, decision=decision, pages=tuple(pages), omitted=omitted
    )


def _load(services: Services, run: ReportRun) -> Window:
    try:
        return load_window(services, run)
    except NotEnoughDataError as exc:
        record = _recorder(services, run)
        record(kind="report", verdict="skipped", reasons=[str(exc)], evidence=_bounds(run))
        raise


def _recorder(services: Services, run: ReportRun) -> partial[Decision]:
    return partial(
        decide, services.ledger, model=run.model.name, run_id=run.run_id, actor=run.actor
    )


def _bounds(run: ReportRun) -> dict[str, Any]:
    return {"since": run.period.since.isoformat(), "until": run.period.until.isoformat()}


def _record(services: Services, window: Window) -> DriftResult:
    evaluation, record = window.evaluation, _recorder(services, window.run)
    about = _bounds(window.run) | {"model_version": evaluation.model_version}
    drift = record(
        kind="drift",
        verdict=evaluation.drift.word,
        reasons=evaluation.drift.reasons,
        evidence=about | evaluation.drift_evidence,
    )
    performance = record(
        kind="performance",
        verdict=evaluation.performance_word,
        reasons=[evaluation.performance.reason],
        evidence=about | evaluation.performance_evidence,
    )
    return _result(window.run, drift, performance)


def _result(run: ReportRun, drift: Decision, performance: Decision) -> DriftResult:
    words = {"yes": True, "no": False}
    return DriftResult(
        metrics=_samples(run.model.name, drift, performance),
        model=run.model.name,
        run_id=run.run_id,
        model_version=int(drift.evidence["model_version"]),
        is_drifted=words.get(drift.verdict),
        drift_score=drift.evidence["drift_score"],
        drift_reasons=drift.reasons,
        is_degraded=words.get(performance.verdict),
        performance_metric=performance.evidence["metric"],
        performance=performance.evidence["value"],
        performance_reasons=performance.reasons,
        n_current=int(drift.evidence["n_current"]),
        n_labelled=int(performance.evidence["n_labelled"]),
    )


def _samples(model: str, drift: Decision, performance: Decision) -> list[Sample]:
    """Return the metrics that are known; an unknown one is absent, not 0."""
    labels = {"model": model}
    words = {"yes": 1.0, "no": 0.0}
    is_known = drift.evidence["drift_score"] is not None
    values = {
        catalogue.DRIFT_SCORE: drift.evidence["drift_score"],
        catalogue.N_DRIFTED_FEATURES: drift.evidence["n_drifted_features"] if is_known else None,
        catalogue.MAX_FEATURE_DRIFT: drift.evidence["max_feature_drift"],
        catalogue.DRIFT_DETECTED: words.get(drift.verdict),
        catalogue.PERFORMANCE_DEGRADED: words.get(performance.verdict),
        catalogue.LABELLED_ANSWERS: performance.evidence["n_labelled"],
    }
    samples = [Sample(name, float(v), labels) for name, v in values.items() if v is not None]
    return samples + [
        Sample(catalogue.MODEL_PERFORMANCE, float(value), {**labels, "metric": name})
        for name, value in performance.evidence["figures"].items()
        if value is not None and name in catalogue.PERFORMANCE_METRICS
    ]
