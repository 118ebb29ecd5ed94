"""Why a model is what it is: its champion at an instant, how it came there, what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vigie.records import Decision, Deployment, JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(JobResult):
    """The champion, the deployments that led to it and the decisions, newest first."""

    model: str
    at: datetime | None
    champion: Deployment | None
    deployments: tuple[Deployment, ...]
    decisions: tuple[Decision, ...]


def explain_decisions(
    services: Services, *, model: str, at: datetime | None = None, limit: int = 20
) -> Explanation:
    """Collect what was true of a model, now or at an instant; read only.

    Nothing that happened after ``at`` is there; ``limit`` bounds deployments and decisions each.
    """
    deployments = services.deployments.history(model, limit=1000)
    known = tuple(d for d in deployments if at is None or d.deployed_at <= at)
    return Explanation(
        model=model,
        at=at,
        champion=services.deployments.champion(model, at),
        deployments=known[:limit],
        decisions=tuple(services.ledger.decisions(model=model, until=at, limit=limit)),
    )
