"""What one model's window says of drift and performance, before anybody records it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vigie.drift.decision import detect_drift
from vigie.models.thresholds import Threshold
from vigie.records import LabelledPrediction
from vigie.reports.window import feature_table, frozen_profile
from vigie.reports.write_performance_report import labelled_rows
from vigie.training.metrics import evaluate

if TYPE_CHECKING:
    from vigie.drift.verdict import DriftVerdict
    from vigie.models.model_file import ModelFile
    from vigie.roles.stores import Bundle

#: Verdict (yes, no, unknown, skipped), reasons for people, facts for ``vigie why``.
Finding = tuple[str, Sequence[str], dict[str, Any]]


def limits_of(model: ModelFile, given: Mapping[str, Threshold]) -> dict[str, Threshold]:
    own = {
        name: Threshold(getattr(model.retrain, name), "model file")
        for name in ("drift_share", "performance_floor")
    }
    return own | {name: limit for name, limit in given.items() if name in own}


def find_drift(
    model: ModelFile, bundle: Bundle, rows: Sequence[LabelledPrediction], share: Threshold
) -> Finding:
    current = feature_table(model, rows)
    verdict = detect_drift(frozen_profile(bundle), current, float(share.value or 0.0))
    return verdict.word, verdict.reasons, _drift_facts(verdict, share)


def _drift_facts(verdict: DriftVerdict, share: Threshold) -> dict[str, Any]:
    """Return what ``vigie why`` needs: every column that is not simply unchanged."""
    return {
        "drift_score": verdict.drift_score,
        "n_drifted_features": verdict.n_drifted_features,
        "max_feature_drift": verdict.max_feature_drift,
        "drift_share": verdict.drift_share,
        "drift_share_source": share.source,
        "reference": "training",
        "n_reference": verdict.n_reference,
        "n_current": verdict.n_current,
        "n_features": len(verdict.columns),
        "columns": {
            column.name: {"effect": column.effect, "reason": column.reason}
            for column in verdict.columns
            if column.is_drifted is not False
        },
    }


def find_degradation(
    model: ModelFile, bundle: Bundle, all_rows: Sequence[LabelledPrediction], floor: Threshold
) -> Finding:
    """Hold the champion's labelled answers against the floor; too few of them: unknown."""
    rows = labelled_rows(model, all_rows, bundle.version)
    metric, needed = model.retrain.performance_metric, model.retrain.min_labelled
    figures = _figures(model, bundle, rows)
    value = figures.get(metric)
    facts = {
        "metric": metric,
        "value": value,
        "floor": floor.value,
        "floor_source": floor.source,
        "n_labelled": len(rows),
        "figures": figures,
    }
    if floor.value is None:
        return "skipped", [f"no floor is set; {metric} is {_shown(value)}"], facts
    if len(rows) < needed:
        return "unknown", [f"{len(rows)} labelled answers, at least {needed} are needed"], facts
    if value is None:
        return "unknown", [f"{metric} is not defined: {_classes(rows)}"], facts
    is_low = value < floor.value
    side = "below" if is_low else "not below"
    reason = f"{metric} {value:.3f} is {side} the floor {floor.value} ({len(rows)} answers)"
    return "yes" if is_low else "no", [reason], facts


def _figures(
    model: ModelFile, bundle: Bundle, rows: Sequence[LabelledPrediction]
) -> dict[str, float | None]:
    if not rows:
        return {}
    y = np.array([row.actual == model.positive_label for row in rows])
    p = np.array([row.prediction.probability for row in rows])
    figures = evaluate(y, p, float(bundle.info["threshold"]), model.cost)
    return {name: float(v) if math.isfinite(v) else None for name, v in figures.items()}


def _classes(rows: Sequence[LabelledPrediction]) -> str:
    return "all labels are " + ", ".join(sorted({str(row.actual) for row in rows}))


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
