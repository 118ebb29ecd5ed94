"""Decide of one model's window whether its data drifted and whether its performance fell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vigie import catalogue
from vigie.errors import NotEnoughDataError
from vigie.models.thresholds import Threshold
from vigie.records import Decision, JobResult, Sample
from vigie.registry.decisions import decide
from vigie.reports.evaluation import find_degradation, find_drift, limits_of
from vigie.reports.window import Window, champion_bundle, served_rows

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport(JobResult):
    """The two verdicts; None is unknown, which is not no."""

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


def decide_drift(
    services: Services,
    *,
    model: ModelFile,
    run_id: str,
    window: Window,
    thresholds: Mapping[str, Threshold] | None = None,
    actor: str = "vigie",
) -> DriftReport:
    """Record a decision of kind ``drift`` and one of kind ``performance``, once a run.

    An empty window is recorded too (kind ``report``, verdict ``skipped``), so that it does not
    hide the last real decision from the retraining's triggers.

    ``thresholds`` are ``drift_share`` and ``performance_floor`` with their sources, where they
    overrule the model file.

    Raises
    ------
    NotEnoughDataError
        No champion, or nothing was predicted in the window.
    """
    about: dict[str, Any] = {"since": window.since.isoformat(), "until": window.until.isoformat()}
    record = partial(decide, services.ledger, model=model.name, run_id=run_id, actor=actor)
    try:
        bundle = champion_bundle(services, model)
        rows = served_rows(services, model, window)
    except NotEnoughDataError as exc:
        record(kind="report", verdict="skipped", reasons=[str(exc)], facts=about)
        raise
    about |= {"model_version": bundle.version}
    limits = limits_of(model, thresholds or {})
    findings = {
        "drift": find_drift(model, bundle, rows, limits["drift_share"]),
        "performance": find_degradation(model, bundle, rows, limits["performance_floor"]),
    }
    recorded = {
        kind: record(kind=kind, verdict=verdict, reasons=reasons, facts={**about, **facts})
        for kind, (verdict, reasons, facts) in findings.items()
    }
    return _report(model, run_id, recorded["drift"], recorded["performance"])


def _report(model: ModelFile, run_id: str, drift: Decision, performance: Decision) -> DriftReport:
    words = {"yes": True, "no": False}
    return DriftReport(
        metrics=_samples(model.name, drift, performance),
        model=model.name,
        run_id=run_id,
        model_version=int(drift.facts["model_version"]),
        is_drifted=words.get(drift.verdict),
        drift_score=drift.facts["drift_score"],
        drift_reasons=drift.reasons,
        is_degraded=words.get(performance.verdict),
        performance_metric=performance.facts["metric"],
        performance=performance.facts["value"],
        performance_reasons=performance.reasons,
        n_current=int(drift.facts["n_current"]),
        n_labelled=int(performance.facts["n_labelled"]),
    )


def _samples(model: str, drift: Decision, performance: Decision) -> list[Sample]:
    """Return the figures that are known; an unknown one is absent, never 0."""
    labels = {"model": model}
    words = {"yes": 1.0, "no": 0.0}
    is_known = drift.facts["drift_score"] is not None
    values = {
        catalogue.DRIFT_SCORE: drift.facts["drift_score"],
        catalogue.N_DRIFTED_FEATURES: drift.facts["n_drifted_features"] if is_known else None,
        catalogue.MAX_FEATURE_DRIFT: drift.facts["max_feature_drift"],
        catalogue.DRIFT_DETECTED: words.get(drift.verdict),
        catalogue.PERFORMANCE_DEGRADED: words.get(performance.verdict),
        catalogue.LABELLED_ANSWERS: performance.facts["n_labelled"],
    }
    samples = [Sample(name, float(v), labels) for name, v in values.items() if v is not None]
    return samples + [
        Sample(catalogue.MODEL_PERFORMANCE, float(value), {**labels, "metric": name})
        for name, value in performance.facts["figures"].items()
        if value is not None and name in catalogue.PERFORMANCE_METRICS
    ]
