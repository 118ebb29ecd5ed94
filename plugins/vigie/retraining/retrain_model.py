"""A complete retraining, from triggers to promotion, in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.errors import NotEnoughDataError, VigieError
from vigie.models.thresholds import Threshold
from vigie.records import JobResult
from vigie.retraining.archive_production_data import archive_production_data
from vigie.retraining.backup_current_model import backup_current_model
from vigie.retraining.evaluate_triggers import evaluate_triggers
from vigie.retraining.gate_candidate import GateResult, gate_candidate
from vigie.retraining.merge_training_data import merge_training_data
from vigie.retraining.notify_retraining import notify_retraining
from vigie.retraining.promotion import lock_name, promote_candidate
from vigie.retraining.select_best import select_best
from vigie.retraining.train_candidate import train_candidate

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainResult(JobResult):
    """Outcome of a retraining; ``version`` is the promoted version, or None."""

    model: str
    run_id: str
    candidate: str
    promoted: bool
    version: int | None
    reasons: tuple[str, ...]
    notice: Path | None


def retrain_model(
    services: Services,
    *,
    model: ModelFile,
    run_id: str,
    force: bool = False,
    thresholds: Mapping[str, Threshold] | None = None,
    actor: str = "vigie",
) -> RetrainResult:
    """Run every step of ``ml_retrain_pipeline`` while holding the model's lock.

    A second call with the same ``run_id`` reuses the decisions and the training table of the first.

    Raises
    ------
    NotEnoughDataError
        No trigger fired, the training was suppressed, or there are too few rows to train.
    ConflictError
        Another process holds the lock, or changed the champion after the gate's decision.
    """
    with services.locks.hold(lock_name(model.name)):
        triggered = evaluate_triggers(
            services, model=model, run_id=run_id, force=force, thresholds=thresholds, actor=actor
        )
        if not triggered.should_train:
            raise NotEnoughDataError("; ".join(triggered.reasons))
        try:
            gate, version = _train_and_promote(services, model, run_id, actor)
        except VigieError as exc:
            failed = [f"{model.name}.retrain: {exc}"]
            notify_retraining(services, models=[model.name], run_id=run_id, failed=failed)
            raise
        notified = notify_retraining(services, models=[model.name], run_id=run_id)
    return RetrainResult(
        metrics=[*triggered.metrics, *gate.metrics],
        model=model.name,
        run_id=run_id,
        candidate=gate.candidate,
        promoted=version is not None,
        version=version,
        reasons=gate.reasons,
        notice=notified.notices[0].path,
    )


def _train_and_promote(
    services: Services, model: ModelFile, run_id: str, actor: str
) -> tuple[GateResult, int | None]:
    backup_current_model(services, model=model, run_id=run_id)
    merge_training_data(services, model=model, run_id=run_id)
    for candidate in model.training.candidates:
        train_candidate(services, model=model, run_id=run_id, candidate=candidate)
    select_best(services, model=model, run_id=run_id)
    gate = gate_candidate(services, model=model, run_id=run_id)
    if not gate.promote:
        return gate, None
    promoted = promote_candidate(services, model=model, run_id=run_id, actor=actor)
    archive_production_data(services, model=model, run_id=run_id)
    return gate, promoted.version
