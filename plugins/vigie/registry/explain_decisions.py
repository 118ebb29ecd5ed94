"""History of a model for ``vigie why``: champion, deployments and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vigie.records import Decision, Deployment, JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainResult(JobResult):
    """The champion, the deployments and the decisions of a model, newest first."""

    model: str
    at: datetime | None
    champion: Deployment | None
    deployments: tuple[Deployment, ...]
    decisions: tuple[Decision, ...]


def explain_decisions(
    services: Services, *, model: str, at: datetime | None = None, limit: int = 20
) -> ExplainResult:
    """Return the history of a model, without entries after the time ``at``.

    ``limit`` applies to the deployments and to the decisions separately.
    """
    deployments = services.deployments.history(model, limit=1000)
    known = tuple(d for d in deployments if at is None or d.deployed_at <= at)
    return ExplainResult(
        model=model,
        at=at,
        champion=services.deployments.champion(model, at),
        deployments=known[:limit],
        decisions=tuple(services.ledger.decisions(model=model, until=at, limit=limit)),
    )
