"""What holds a training back that some trigger asks for: switches of the model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.retraining.evaluate_triggers import Trigger

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


def held_back(
    services: Services,
    model: ModelFile,
    fired: set[str],
    unused: int,
    streaks: Mapping[str, int],
) -> tuple[str, ...]:
    """Say what stands against a training that some trigger asks for."""
    if not fired:
        return ()
    retrain, reasons = model.retrain, []
    if unused < retrain.min_labelled:
        reasons.append(
            f"too few labelled rows: {unused} unused ones, {retrain.min_labelled} are needed"
        )
    longest = max(streaks[name] for name in fired)
    if longest < retrain.hysteresis:
        reasons.append(
            f"hysteresis: seen in {longest} checks in a row, {retrain.hysteresis} are needed"
        )
    until = _cool_until(services, model)
    if until is not None and services.now() < until:
        reasons.append(f"cool-down: nothing is trained before {until:%Y-%m-%d %H:%M} UTC")
    return tuple(reasons)


def _cool_until(services: Services, model: ModelFile) -> datetime | None:
    last = services.state.get(state_keys.last_training(model.name))
    if last is None or not model.retrain.cooldown_hours:
        return None
    return datetime.fromisoformat(last["at"]) + timedelta(hours=model.retrain.cooldown_hours)


def count_streaks(
    services: Services, model: str, run_id: str, triggers: Sequence[Trigger]
) -> dict[str, int]:
    """Count in how many checks in a row each trigger fired; a run's tries count once."""
    key = state_keys.trigger_streaks(model)
    state = services.state.get(key) or {}
    if state.get("run_id") == run_id:
        return dict(state["counts"])
    before: Mapping[str, int] = state.get("counts", {})
    counts = {t.name: before.get(t.name, 0) + 1 if t.fired else 0 for t in triggers}
    services.state.put(key, {"run_id": run_id, "counts": counts})
    return counts
