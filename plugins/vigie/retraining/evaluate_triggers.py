"""Evaluate the triggers of a model and decide whether to retrain it."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vigie import state_keys
from vigie.catalogue import RETRAIN_ASKED, RETRAIN_LABELLED_ROWS, RETRAIN_TRIGGER_FIRED
from vigie.errors import NotEnoughDataError
from vigie.models.reference import is_ready, where_to_put
from vigie.models.thresholds import Threshold
from vigie.records import Decision, JobResult, Sample
from vigie.registry.decisions import decide, decided
from vigie.retraining.run_files import checked_run
from vigie.retraining.triggers import TRIGGERS, Check, Trigger

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services, StateStore

THRESHOLDS = ("min_rows", "drift_share", "performance_floor")
_UNCONDITIONAL = frozenset({"manual", "no_champion"})  # Triggers that are never suppressed.


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerResult(JobResult):
    """The decision whether to train, the triggers that fired, and the reasons."""

    model: str
    run_id: str
    should_train: bool
    fired: tuple[str, ...]
    reasons: tuple[str, ...]
    labelled_rows: int


def evaluate_triggers(
    services: Services,
    *,
    model: ModelFile,
    run_id: str,
    force: bool = False,
    thresholds: Mapping[str, Threshold] | None = None,
    actor: str = "vigie",
) -> TriggerResult:
    """Decide whether to train the model; record the decision with all compared values.

    The model is trained if at least one trigger fired and no condition suppresses the training. The
    conditions are minimum labels, hysteresis and cool-down. They do not apply with ``force`` or
    while the model has no champion. A second call with the same ``run_id`` returns the
    recorded decision. ``thresholds`` overrides values of the model file; its keys are among
    :data:`THRESHOLDS`.

    Raises
    ------
    NotEnoughDataError
        The model's reference table does not exist yet.
    DataError
        ``run_id`` cannot be part of a file name.
    """
    checked_run(run_id)
    if not is_ready(model, services.paths.data):
        where = where_to_put(model, services.paths.data)
        raise NotEnoughDataError(f"{model.name} is waiting for data: {where}")
    recorded = decided(services.ledger, model.name, "trigger", run_id)
    if recorded is None:
        recorded = _decide(services, model, run_id, force, thresholds or {}, actor)
    return _result(recorded, run_id)


def _decide(
    services: Services,
    model: ModelFile,
    run_id: str,
    force: bool,
    thresholds: Mapping[str, Threshold],
    actor: str,
) -> Decision:
    check = _check(services, model, force, thresholds)
    triggers = tuple(trigger(check) for trigger in TRIGGERS)
    streaks = _count_streaks(services.state, model.name, run_id, triggers)
    fired = {trigger.name for trigger in triggers if trigger.fired}
    until = _cool_down_end(services.state, model)
    held = _suppressed(model, fired, check.unused, streaks, services.now(), until)
    return decide(
        services.ledger,
        model=model.name,
        kind="trigger",
        run_id=run_id,
        verdict="yes" if fired and not held else "no",
        reasons=_sentences(triggers, held),
        evidence={
            "fired": sorted(fired),
            "held_back": list(held),
            "triggers": {t.name: dataclasses.asdict(t) for t in triggers},
            "labelled_unused": check.unused,
            "min_labelled": model.retrain.min_labelled,
            "streaks": streaks,
        },
        actor=actor,
    )


def _check(
    services: Services, model: ModelFile, force: bool, thresholds: Mapping[str, Threshold]
) -> Check:
    return Check(
        model=model,
        champion=services.deployments.champion(model.name),
        unused=services.labels.count_unused(model.name),
        is_forced=force,
        limits={name: thresholds.get(name) or _from_model_file(model, name) for name in THRESHOLDS},
        predictions=services.predictions,
        bundles=services.bundles,
        ledger=services.ledger,
    )


def _suppressed(
    model: ModelFile,
    fired: set[str],
    unused: int,
    streaks: Mapping[str, int],
    now: datetime,
    cool_down_end: datetime | None,
) -> tuple[str, ...]:
    """Return one sentence per condition that suppresses the training."""
    if not fired or fired & _UNCONDITIONAL:
        return ()
    retrain, reasons = model.retrain, []
    if unused < retrain.min_labelled:
        reasons.append(f"too few labelled rows: {unused} unused, {retrain.min_labelled} needed")
    longest = max(streaks[name] for name in fired)
    if longest < retrain.hysteresis:
        reasons.append(
            f"hysteresis: fired in {longest} consecutive checks, {retrain.hysteresis} needed"
        )
    if cool_down_end is not None and now < cool_down_end:
        reasons.append(f"cool-down: no training before {cool_down_end:%Y-%m-%d %H:%M} UTC")
    return tuple(reasons)


def _cool_down_end(state: StateStore, model: ModelFile) -> datetime | None:
    last = state.get(state_keys.last_training(model.name))
    if last is None or not model.retrain.cooldown_hours:
        return None
    return datetime.fromisoformat(last["at"]) + timedelta(hours=model.retrain.cooldown_hours)


def _count_streaks(
    state: StateStore, model: str, run_id: str, triggers: Sequence[Trigger]
) -> dict[str, int]:
    """Count the consecutive checks in which each trigger fired; a retry is not counted."""
    key = state_keys.trigger_streaks(model)
    known = state.get(key) or {}
    if known.get("run_id") == run_id:
        return dict(known["counts"])
    before: Mapping[str, int] = known.get("counts", {})
    counts = {t.name: before.get(t.name, 0) + 1 if t.fired else 0 for t in triggers}
    state.put(key, {"run_id": run_id, "counts": counts})
    return counts


def _sentences(triggers: Sequence[Trigger], held: Sequence[str]) -> list[str]:
    fired = [f"{t.name}: {t.reason}" for t in triggers if t.fired]
    if not fired:
        return ["no trigger fired"] + [f"{t.name}: {t.reason}" for t in triggers]
    return fired + [f"suppressed by {reason}" for reason in held]


def _from_model_file(model: ModelFile, name: str) -> Threshold:
    """Return the threshold that the model file sets, or the default, with the source."""
    try:
        written: dict[str, Any] = tomllib.loads(model.path.read_text("utf-8")).get("retrain", {})
    except OSError:  # The model was not read from a file.
        written = {}
    source = "model file" if name in written else "default"
    return Threshold(getattr(model.retrain, name), source)


def _result(decision: Decision, run_id: str) -> TriggerResult:
    evidence, labels = decision.evidence, {"model": decision.model}
    should_train = decision.verdict == "yes"
    fired = set(evidence["fired"])
    samples = [
        Sample(RETRAIN_TRIGGER_FIRED, float(name in fired), {**labels, "trigger": name})
        for name in evidence["triggers"]
    ]
    samples += [
        Sample(RETRAIN_LABELLED_ROWS, float(evidence["labelled_unused"]), labels),
        Sample(RETRAIN_ASKED, float(should_train), labels),
    ]
    return TriggerResult(
        metrics=samples,
        model=decision.model,
        run_id=run_id,
        should_train=should_train,
        fired=tuple(evidence["fired"]),
        reasons=tuple(decision.reasons),
        labelled_rows=int(evidence["labelled_unused"]),
    )
