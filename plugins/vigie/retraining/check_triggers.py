"""Decide whether a model is to be trained again, and record every value that was compared."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.catalogue import RETRAIN_ASKED, RETRAIN_LABELLED_ROWS, RETRAIN_TRIGGER_FIRED
from vigie.errors import NotEnoughDataError
from vigie.models.reference import is_ready, where_to_put
from vigie.models.thresholds import Threshold
from vigie.records import Decision, JobResult, Sample
from vigie.registry.decisions import checked_run, decide, decided
from vigie.retraining.evaluate_triggers import (
    Trigger,
    asked_by_person,
    drifted,
    enough_rows,
    no_champion,
    performance_degraded,
)
from vigie.retraining.training_brakes import count_streaks, held_back

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

THRESHOLDS = ("min_rows", "drift_share", "performance_floor")
_UNCONDITIONAL = frozenset({"manual", "no_champion"})  # what nothing holds back


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerReport(JobResult):
    """Whether to train (``should_train``), which triggers fired and what held them back."""

    model: str
    run_id: str
    should_train: bool
    fired: tuple[str, ...]
    reasons: tuple[str, ...]
    labelled_rows: int


def check_triggers(
    services: Services,
    *,
    model: ModelFile,
    run_id: str,
    force: bool = False,
    thresholds: Mapping[str, Threshold] | None = None,
    actor: str = "vigie",
) -> TriggerReport:
    """Ask every trigger (any one suffices), then what holds a training back; record the whole.

    A run decides once: asked again, it gives the answer that it recorded. A *no* is a result, not
    an error. Too few labelled rows hold a training back, except for a first champion and when a
    person insists (``force``): then what there is, at least the reference, is trained on.
    ``thresholds`` (``min_rows``, ``drift_share``, ``performance_floor``) rule over the model file.

    Raises
    ------
    NotEnoughDataError
        The model waits for its reference table.
    """
    checked_run(run_id)
    if not is_ready(model, services.paths.data):
        where = where_to_put(model, services.paths.data)
        raise NotEnoughDataError(f"{model.name} is waiting for data: {where}")
    recorded = decided(services, model.name, "trigger", run_id)
    if recorded is None:
        recorded = _decide(services, model, run_id, force, thresholds or {}, actor)
    return _report(recorded, run_id)


def _decide(
    services: Services,
    model: ModelFile,
    run_id: str,
    force: bool,
    thresholds: Mapping[str, Threshold],
    actor: str,
) -> Decision:
    limits = {name: thresholds.get(name) or _from_model_file(model, name) for name in THRESHOLDS}
    unused = services.labels.count_unused(model.name)
    triggers = _ask(services, model, unused, force, limits)
    streaks = count_streaks(services, model.name, run_id, triggers)
    fired = {trigger.name for trigger in triggers if trigger.fired}
    held = () if fired & _UNCONDITIONAL else held_back(services, model, fired, unused, streaks)
    is_yes = bool(fired) and not held
    return decide(
        services,
        model=model.name,
        kind="trigger",
        run_id=run_id,
        verdict="yes" if is_yes else "no",
        reasons=_sentences(triggers, held),
        facts={
            "fired": sorted(fired),
            "held_back": list(held),
            "triggers": {t.name: dataclasses.asdict(t) for t in triggers},
            "labelled_unused": unused,
            "min_labelled": model.retrain.min_labelled,
            "streaks": streaks,
        },
        actor=actor,
    )


def _ask(
    services: Services,
    model: ModelFile,
    unused: int,
    force: bool,
    limits: Mapping[str, Threshold],
) -> tuple[Trigger, ...]:
    champion = services.deployments.champion(model.name)
    return (
        asked_by_person(force),
        no_champion(champion),
        enough_rows(unused, limits["min_rows"]),
        drifted(services, model, champion, limits["drift_share"]),
        performance_degraded(services, model, champion, limits["performance_floor"]),
    )


def _sentences(triggers: Sequence[Trigger], held: Sequence[str]) -> list[str]:
    fired = [f"{t.name}: {t.reason}" for t in triggers if t.fired]
    if not fired:
        return ["no trigger fired"] + [f"{t.name}: {t.reason}" for t in triggers]
    return fired + [f"held back by {reason}" for reason in held]


def _from_model_file(model: ModelFile, name: str) -> Threshold:
    """Return a threshold of the model file, or of its defaults when the file does not say."""
    try:
        written: dict[str, Any] = tomllib.loads(model.path.read_text("utf-8")).get("retrain", {})
    except OSError:  # a model that was made in memory
        written = {}
    source = "model file" if name in written else "default"
    return Threshold(getattr(model.retrain, name), source)


def _report(decision: Decision, run_id: str) -> TriggerReport:
    facts, labels = decision.facts, {"model": decision.model}
    should_train = decision.verdict == "yes"
    fired = set(facts["fired"])
    samples = [
        Sample(RETRAIN_TRIGGER_FIRED, float(name in fired), {**labels, "trigger": name})
        for name in facts["triggers"]
    ]
    samples += [
        Sample(RETRAIN_LABELLED_ROWS, float(facts["labelled_unused"]), labels),
        Sample(RETRAIN_ASKED, float(should_train), labels),
    ]
    return TriggerReport(
        metrics=samples,
        model=decision.model,
        run_id=run_id,
        should_train=should_train,
        fired=tuple(facts["fired"]),
        reasons=tuple(decision.reasons),
        labelled_rows=int(facts["labelled_unused"]),
    )
