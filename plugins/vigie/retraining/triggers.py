"""Functions that evaluate the triggers of a retraining, listed in :data:`TRIGGERS`."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.drift.decision import detect_drift
from vigie.errors import DataError
from vigie.models.tables import frame_of
from vigie.models.thresholds import Threshold
from vigie.records import Deployment, LabelledPrediction
from vigie.training.labelled_predictions import labelled_rows, measure_performance

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import BundleStore, Ledger, PredictionStore

MAX_DRIFT_ROWS = 5000  # The newest are compared, so that the drift tests take under a second.


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The result of a trigger; ``fired`` is None if the result is unknown."""

    name: str
    fired: bool | None
    reason: str
    value: float | None = None
    threshold: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The input of every trigger: the current state of one model."""

    model: ModelFile
    champion: Deployment | None
    unused: int  # labelled rows that are not archived: no promoted version used them
    is_forced: bool
    limits: Mapping[str, Threshold]
    predictions: PredictionStore
    bundles: BundleStore
    ledger: Ledger

    def served(self, champion: Deployment) -> Iterable[LabelledPrediction]:
        """Yield the predictions that the champion has made since its deployment."""
        rows = self.predictions.window(self.model.name, since=champion.deployed_at)
        return (row for row in rows if row.prediction.model_version == champion.version)


def requested(check: Check) -> Trigger:
    """Fire if the user requested the training."""
    reason = "a training was requested" if check.is_forced else "no training was requested"
    return Trigger(name="manual", fired=check.is_forced, reason=reason)


def no_champion(check: Check) -> Trigger:
    """Fire if the model has no champion yet."""
    champion = check.champion
    reason = f"version {champion.version} is champion" if champion else "there is no champion yet"
    return Trigger(name="no_champion", fired=champion is None, reason=reason)


def enough_rows(check: Check) -> Trigger:
    """Fire if there are at least ``min_rows`` unused labelled rows."""
    limit = check.limits["min_rows"]
    needed = int(limit.value or 0)
    return Trigger(
        name="rows",
        fired=check.unused >= needed,
        reason=f"{check.unused} unused labelled rows, {needed} needed",
        value=check.unused,
        threshold=needed,
        source=limit.source,
    )


def drifted(check: Check) -> Trigger:
    """Fire if the share of drifted columns exceeds ``drift_share``.

    The share is read from the newest drift decision if that decision was made since the champion's
    deployment and has a score. Otherwise drift is computed now.
    """
    limit = check.limits["drift_share"]
    score, reason = None, "there is no champion to compare with"
    if check.champion is not None:
        score, reason = _reported_drift(check, check.champion)
        if score is None:
            score, reason = _drift_now(check, check.champion, limit.value or 0.0)
    return Trigger(
        name="drift",
        fired=None if score is None else score > (limit.value or 0.0),
        reason=reason if score is None else f"{reason}; the threshold is {limit.value:.0%}",
        value=score,
        threshold=limit.value,
        source=limit.source,
    )


def _reported_drift(check: Check, champion: Deployment) -> tuple[float | None, str]:
    newest = check.ledger.decisions(model=check.model.name, kind="drift", limit=1)
    if not newest or newest[0].at is None or newest[0].at < champion.deployed_at:
        return None, "there is no drift decision about this champion yet"
    score = newest[0].evidence.get("drift_score")
    if not isinstance(score, int | float):
        return None, "the newest drift decision has no score"
    return float(score), f"{score:.0%} of the columns drifted at {newest[0].at:%Y-%m-%d %H:%M} UTC"


def _drift_now(check: Check, champion: Deployment, limit: float) -> tuple[float | None, str]:
    rows = deque(check.served(champion), maxlen=MAX_DRIFT_ROWS)
    if not rows:
        return None, "no predictions since the champion was deployed"
    try:
        bundle = check.bundles.open(check.model.name, champion.version)
        profile = json.loads(bundle.files["profile.json"])
        frame = frame_of(check.model, (row.prediction.features for row in rows))
        verdict = detect_drift(profile, frame, limit)
    except (DataError, KeyError) as exc:
        return None, f"drift cannot be computed: {exc}"
    if verdict.drift_score is None:
        return None, "; ".join(verdict.reasons)
    share = f"{verdict.n_drifted_features} of {len(verdict.columns)} columns"
    return verdict.drift_score, f"{share} drifted in the {len(rows)} newest predictions"


def performance_degraded(check: Check) -> Trigger:
    """Fire if the performance metric of the champion is below the floor."""
    limit, champion = check.limits["performance_floor"], check.champion
    value, fired, reason = None, None, "no floor is set"
    if limit.value is None:
        fired = False
    elif champion is None:
        reason = "there is no champion to measure"
    else:
        try:
            bundle = check.bundles.open(check.model.name, champion.version)
        except DataError as exc:
            reason = f"the champion's bundle cannot be read: {exc}"
        else:
            rows = labelled_rows(check.model, check.served(champion), champion.version)
            found = measure_performance(check.model, bundle, rows, limit)
            fired, reason = found.is_low, found.reason
            value = found.value if found.is_low is not None else None
    return Trigger(
        name="performance",
        fired=fired,
        reason=reason,
        value=value,
        threshold=limit.value,
        source=limit.source,
    )


#: The triggers in the order of evaluation.
TRIGGERS: tuple[Callable[[Check], Trigger], ...] = (
    requested,
    no_champion,
    enough_rows,
    drifted,
    performance_degraded,
)
