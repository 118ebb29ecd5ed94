"""Point back to an earlier version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import write_copies

if TYPE_CHECKING:
    from vigie.roles import Services
    from vigie.roles.artifacts import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackReport(JobResult):
    """From which version to which, and what could not be done beside it."""

    model: str
    version: int
    previous_version: int
    number: int
    notes: tuple[str, ...]


def rollback_model(
    services: Services, *, model: str, actor: str, reason: str = "", to: int | None = None
) -> RollbackReport:
    """Deploy an earlier version again, verified, by compare-and-swap; works with MLflow down.

    Without ``to``, the version that was champion before this one; versions that were rolled back
    from are not gone back to, damaged ones are passed over and named.

    Raises
    ------
    NotEnoughDataError
        There is no champion, nothing earlier, or ``to`` is champion already.
    DataError
        ``to`` does not exist, is damaged, or was never champion: that would go round the gate.
    ConflictError
        Somebody else changed the champion in the same moment.
    """
    champion = services.deployments.champion(model)
    if champion is None:
        raise NotEnoughDataError(f"{model} has no champion: nothing to roll back")
    bundle, skipped = _target(services, champion, to)
    deployment = services.deployments.deploy(
        model,
        bundle.version,
        expected_number=champion.number,
        actor=actor,
        reason=reason or f"rolled back from v{champion.version}",
    )
    notes = (*skipped, *write_copies(services, deployment, bundle.info))
    _record(services, deployment, notes)
    return RollbackReport(
        metrics=[Sample(CHAMPION_VERSION, float(deployment.version), {"model": model})],
        model=model,
        version=deployment.version,
        previous_version=champion.version,
        number=deployment.number,
        notes=notes,
    )


def _target(
    services: Services, champion: Deployment, to: int | None
) -> tuple[Bundle, tuple[str, ...]]:
    model = champion.model
    if to == champion.version:
        raise NotEnoughDataError(f"{model} v{to} is champion already")
    history = services.deployments.history(model, limit=1000)
    if to is not None:
        bundle = services.bundles.open(model, to)
        if all(deployment.version != to for deployment in history):
            raise DataError(
                f"{model} v{to} was never champion, so there is no going back to it; let the gate "
                f"judge it with: vigie promote --model {model} --to {to}"
            )
        return bundle, ()
    skipped: list[str] = []
    for version in earlier_versions(history):
        try:
            return services.bundles.open(model, version), tuple(skipped)
        except DataError as exc:
            skipped.append(f"v{version} was passed over: {exc}")
    raise NotEnoughDataError(
        "; ".join([f"{model} has no version before v{champion.version} to go back to", *skipped])
    )


def earlier_versions(history: Sequence[Deployment]) -> list[int]:
    """Return the versions to go back to, nearest first.

    Going back undoes deployments: what was deployed after the version gone back to is forgotten.

    Parameters
    ----------
    history
        Deployments, newest first.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> def deployed(*versions):
    ...     at = datetime(2026, 1, 1, tzinfo=UTC)
    ...     rows = [Deployment("m", i, v, None, at, "", "") for i, v in enumerate(versions)]
    ...     return earlier_versions(rows[::-1])
    >>> deployed(1, 2, 3), deployed(1, 2, 3, 2), deployed(1, 2, 3, 2, 1), deployed(1, 2, 1, 4)
    ([2, 1], [1], [], [1])
    """
    stack: list[int] = []
    for deployment in reversed(history):
        if deployment.version in stack:
            del stack[stack.index(deployment.version) :]
        stack.append(deployment.version)
    return stack[-2::-1] if len(stack) > 1 else []


def _record(services: Services, deployment: Deployment, notes: tuple[str, ...]) -> None:
    services.ledger.record(
        Decision(
            key=f"deployment:{deployment.model}:{deployment.number}",
            model=deployment.model,
            kind="rollback",
            verdict="yes",
            reasons=(deployment.reason, *notes),
            facts={"from": deployment.previous_version, "to": deployment.version},
            actor=deployment.actor,
        )
    )
