"""The questions that may start a retraining, one function each; none of them decides alone."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vigie.drift.decision import detect_drift
from vigie.errors import DataError
from vigie.models.tables import frame_of
from vigie.models.thresholds import Threshold
from vigie.records import Deployment, LabelledPrediction
from vigie.training.metrics import evaluate

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

MAX_DRIFT_ROWS = 5000  # the newest ones: enough for every test of the profile, a second of work


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An answer: ``fired`` is None when it cannot be known, which is not the same as no."""

    name: str
    fired: bool | None
    reason: str
    value: float | None = None
    threshold: float | None = None
    source: str = ""


def asked_by_person(force: bool) -> Trigger:
    reason = "a person asked for it" if force else "nobody asked for it"
    return Trigger(name="manual", fired=force, reason=reason)


def no_champion(champion: Deployment | None) -> Trigger:
    reason = f"version {champion.version} is champion" if champion else "there is no champion yet"
    return Trigger(name="no_champion", fired=champion is None, reason=reason)


def enough_rows(unused: int, limit: Threshold) -> Trigger:
    needed = int(limit.value or 0)
    return Trigger(
        name="rows",
        fired=unused >= needed,
        reason=f"{unused} labelled rows are unused, {needed} ask for a training",
        value=unused,
        threshold=needed,
        source=limit.source,
    )


def drifted(
    services: Services, model: ModelFile, champion: Deployment | None, limit: Threshold
) -> Trigger:
    """Judge the newest drift decision about this champion; without one, compute the drift now."""
    score, reason = None, "there is no champion to drift away from"
    if champion is not None:
        score, reason = _reported_drift(services, model.name, champion)
        if score is None:
            score, reason = _drift_now(services, model, champion, limit.value or 0.0)
    return Trigger(
        name="drift",
        fired=None if score is None else score > (limit.value or 0.0),
        reason=reason if score is None else f"{reason}; more than {limit.value:.0%} asks for it",
        value=score,
        threshold=limit.value,
        source=limit.source,
    )


def _reported_drift(
    services: Services, model: str, champion: Deployment
) -> tuple[float | None, str]:
    newest = services.ledger.decisions(model=model, kind="drift", limit=1)
    if not newest or newest[0].at is None or newest[0].at < champion.deployed_at:
        return None, "no drift report yet about this champion"
    score = newest[0].facts.get("drift_score")
    if not isinstance(score, int | float):
        return None, "the newest drift report could not tell"
    return float(score), f"the report of {newest[0].at:%Y-%m-%d %H:%M} found {score:.0%} drifted"


def _drift_now(
    services: Services, model: ModelFile, champion: Deployment, limit: float
) -> tuple[float | None, str]:
    rows = deque(_served(services, model, champion), maxlen=MAX_DRIFT_ROWS)
    if not rows:
        return None, "nothing was predicted since the champion was deployed"
    try:
        bundle = services.bundles.open(model.name, champion.version)
        profile = json.loads(bundle.files["profile.json"])
        frame = frame_of(model, (row.prediction.features for row in rows))
        verdict = detect_drift(profile, frame, limit)
    except (DataError, KeyError) as exc:
        return None, f"the drift cannot be computed: {exc}"
    if verdict.drift_score is None:
        return None, "; ".join(verdict.reasons)
    share = f"{verdict.n_drifted_features} of {len(verdict.columns)} columns"
    return verdict.drift_score, f"{share} drifted in the {len(rows)} newest answers"


def performance_degraded(
    services: Services, model: ModelFile, champion: Deployment | None, limit: Threshold
) -> Trigger:
    """Measure the champion on what it answered since its deployment and people reported back."""
    metric = model.retrain.performance_metric
    value, reason = None, "no floor is set"
    if champion is None:
        reason = "there is no champion to measure"
    elif limit.value is not None:
        value, reason = _performance(services, model, champion)
    return Trigger(
        name="performance",
        fired=False if limit.value is None else None if value is None else value < limit.value,
        reason=reason if value is None else f"{metric} is {value:.3f}, the floor {limit.value}",
        value=value,
        threshold=limit.value,
        source=limit.source,
    )


def _performance(
    services: Services, model: ModelFile, champion: Deployment
) -> tuple[float | None, str]:
    rows = [row for row in _served(services, model, champion) if row.actual in model.labels]
    needed = model.retrain.min_labelled
    if len(rows) < needed:
        return None, f"{len(rows)} answers of the champion are labelled, {needed} are needed"
    y = np.array([row.actual == model.positive_label for row in rows])
    if y.all() or not y.any():
        return None, f"all {len(rows)} labelled answers are {rows[0].actual}"
    p = np.array([row.prediction.probability for row in rows])
    try:
        info = services.bundles.open(model.name, champion.version).info
    except DataError as exc:
        return None, f"the champion cannot be read: {exc}"
    figures = evaluate(y, p, float(info["threshold"]), model.cost)
    value = float(figures[model.retrain.performance_metric])
    return (value, "") if math.isfinite(value) else (None, "the metric is not defined here")


def _served(
    services: Services, model: ModelFile, champion: Deployment
) -> Iterable[LabelledPrediction]:
    """Yield what the champion itself answered since it was deployed."""
    rows = services.predictions.window(model.name, since=champion.deployed_at)
    return (row for row in rows if row.prediction.model_version == champion.version)
