"""Notice of the outcome of a retraining, in the log and in a file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.encoding import dumps, write_atomic
from vigie.records import Decision, JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Outcome of a run for a model, with the reasons.

    ``outcome`` is ``promoted``, ``refused``, ``failed``, ``stopped``, ``not_asked``, or ``nothing``
    if the run made no decision about the model.
    """

    model: str
    outcome: str
    reasons: tuple[str, ...]
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyResult(JobResult):
    """One notice per model, except for models with the outcome ``nothing``."""

    run_id: str
    notices: tuple[Notice, ...]


def notify_retraining(
    services: Services, *, models: Sequence[str], run_id: str, failed: Sequence[str] = ()
) -> NotifyResult:
    """Write the outcome of a run to the log and to ``reports/retrain/MODEL_RUN.json``.

    No file is written for the outcomes ``not_asked`` and ``nothing``. Each entry of ``failed``
    begins with the name of the model, a dot, and the failed task.
    """
    notices = []
    for model in models:
        failures = [name for name in failed if name.startswith(f"{model}.")]
        notice = _notice(services, model, run_id, failures)
        if notice.outcome != "nothing":
            notices.append(notice)
            level = logging.ERROR if notice.outcome == "failed" else logging.INFO
            text = "; ".join(notice.reasons)
            log.log(level, "retraining of %s: %s: %s", notice.model, notice.outcome, text)
    return NotifyResult(run_id=run_id, notices=tuple(notices))


def _notice(services: Services, model: str, run_id: str, failed: Sequence[str]) -> Notice:
    decisions = services.ledger.decisions(model=model, run_id=run_id)[::-1]
    outcome, reasons = _outcome({d.kind: d for d in decisions}, failed)
    if outcome in ("nothing", "not_asked"):
        return Notice(model=model, outcome=outcome, reasons=reasons)
    path = services.paths.reports / "retrain" / f"{model}_{run_id}.json"
    champion = services.deployments.champion(model)
    content: dict[str, Any] = {
        "model": model,
        "run_id": run_id,
        "outcome": outcome,
        "reasons": reasons,
        "failed": failed,
        "champion": champion and champion.version,
        "decisions": [_plain(d) for d in decisions],
    }
    return Notice(
        model=model, outcome=outcome, reasons=reasons, path=write_atomic(path, dumps(content))
    )


def _plain(decision: Decision) -> dict[str, Any]:
    """Return the fields of a decision, named like the columns of the database."""
    fields = dataclasses.asdict(decision)
    return {**fields, "facts": fields.pop("evidence")}


def _outcome(decisions: dict[str, Decision], failed: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    trigger, gate, promote = (decisions.get(kind) for kind in ("trigger", "gate", "promote"))
    if failed:
        lost = promote.reasons if promote and promote.verdict == "no" else ()
        return "failed", (f"failed: {', '.join(failed)}", *lost)
    if promote is not None and promote.verdict == "yes":
        return "promoted", promote.reasons
    if gate is not None and gate.verdict != "yes":
        return "refused", gate.reasons
    if trigger is not None and trigger.verdict != "yes":
        return "not_asked", trigger.reasons
    if trigger is not None:
        return "stopped", ("a later step was skipped; see its log", *trigger.reasons)
    return "nothing", ()
