"""Tell how a retraining ended: one line in the log, one file for those who were not there."""

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
    """How a run ended: promoted, refused, failed, stopped, not_asked or nothing (not looked at)."""

    model: str
    outcome: str
    reasons: tuple[str, ...]
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyReport(JobResult):
    """One notice a model that the run looked at."""

    run_id: str
    notices: tuple[Notice, ...]


def notify_retraining(
    services: Services, *, models: Sequence[str], run_id: str, failed: Sequence[str] = ()
) -> NotifyReport:
    """Sum up the run from the ledger, in the log and in ``reports/retrain/MODEL_RUN.json``.

    No file for a model that nothing asked to train. ``failed`` are task ids, or sentences, those of
    a model beginning with ``MODEL.``.
    """
    notices = [_notice(services, model, run_id, _mine(model, failed)) for model in models]
    for notice in notices:
        if notice.outcome != "nothing":
            level = logging.ERROR if notice.outcome == "failed" else logging.INFO
            text = "; ".join(notice.reasons)
            log.log(level, "retraining of %s: %s: %s", notice.model, notice.outcome, text)
    told = tuple(notice for notice in notices if notice.outcome != "nothing")
    return NotifyReport(run_id=run_id, notices=told)


def _mine(model: str, failed: Sequence[str]) -> list[str]:
    return [name for name in failed if name.startswith(f"{model}.")]


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
        "decisions": [dataclasses.asdict(d) for d in decisions],
    }
    return Notice(model=model, outcome=outcome, reasons=reasons, path=_write(path, content))


def _write(path: Path, content: dict[str, Any]) -> Path:
    return write_atomic(path, dumps(content))


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
        return "stopped", ("a later step found nothing to do; see its log", *trigger.reasons)
    return "nothing", ()
