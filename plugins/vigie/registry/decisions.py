"""Decisions of a run, recorded once per model and kind; a retry reuses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vigie.records import Decision

if TYPE_CHECKING:
    from vigie.roles import Ledger


def decided(ledger: Ledger, model: str, kind: str, run_id: str) -> Decision | None:
    """Return the decision of this kind that the run recorded, or None."""
    key = decision_key(run_id, model, kind)
    found = ledger.decisions(model=model, kind=kind, run_id=run_id)
    return next((d for d in found if d.key == key), None)


def decide(
    ledger: Ledger,
    *,
    model: str,
    kind: str,
    run_id: str,
    verdict: str,
    reasons: Sequence[str],
    evidence: Mapping[str, Any] | None = None,
    actor: str = "vigie",
) -> Decision:
    """Record a decision of a run, or return the decision that an earlier attempt recorded."""
    decision = Decision(
        key=decision_key(run_id, model, kind),
        model=model,
        kind=kind,
        verdict=verdict,
        reasons=tuple(reasons),
        evidence=evidence or {},
        actor=actor,
        run_id=run_id,
    )
    ledger.record(decision)
    return decided(ledger, model, kind, run_id) or decision


def decision_key(run_id: str, model: str, kind: str) -> str:
    """Return the ledger key of a run's decision of one kind about a model."""
    return f"{run_id}:{model}:{kind}"
