"""Rollback to an earlier version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigie.errors import DataError, NotEnoughDataError
from vigie.records import Deployment
from vigie.registry.deploy import Deploying, DeployResult, deploy

if TYPE_CHECKING:
    from vigie.roles import BundleStore, DeploymentStore, Services
    from vigie.roles.stores import Bundle


def rollback_model(
    services: Services, *, model: str, actor: str, reason: str = "", to: int | None = None
) -> DeployResult:
    """Deploy an earlier version again after verifying its bundle; MLflow is not required.

    Without ``to``, the target is the most recent of the earlier champions that no rollback
    replaced. Damaged versions are skipped and listed in the notes.

    Raises
    ------
    NotEnoughDataError
        There is no champion or no intact earlier champion, or ``to`` is the champion.
    DataError
        Version ``to`` does not exist, is damaged, or was never champion.
    ConflictError
        Another process changed the champion at the same time.
    """
    champion = services.deployments.champion(model)
    if champion is None:
        raise NotEnoughDataError(f"{model} has no champion: nothing to roll back")
    bundle, skipped = _target(services.deployments, services.bundles, champion, to)
    return deploy(
        services,
        bundle,
        Deploying(
            model=model,
            kind="rollback",
            expected_number=champion.number,
            actor=actor,
            reason=reason or f"rolled back from v{champion.version}",
            evidence={"from": champion.version, "to": bundle.version},
            notes=skipped,
        ),
    )


def _target(
    deployments: DeploymentStore, bundles: BundleStore, champion: Deployment, to: int | None
) -> tuple[Bundle, tuple[str, ...]]:
    model = champion.model
    if to == champion.version:
        raise NotEnoughDataError(f"{model} v{to} is the champion already")
    history = deployments.history(model, limit=1000)
    if to is not None:
        bundle = bundles.open(model, to)
        if all(deployment.version != to for deployment in history):
            raise DataError(
                f"{model} v{to} was never champion, so a rollback cannot deploy it; compare it "
                f"with the champion: vigie promote --model {model} --to {to}"
            )
        return bundle, ()
    skipped: list[str] = []
    for version in earlier_versions(history):
        try:
            return bundles.open(model, version), tuple(skipped)
        except DataError as exc:
            skipped.append(f"v{version} was skipped: {exc}")
    raise NotEnoughDataError(
        "; ".join(
            [f"{model} has no intact champion before v{champion.version} to roll back to", *skipped]
        )
    )


def earlier_versions(history: Sequence[Deployment]) -> list[int]:
    """Return the versions that a rollback can deploy, the most recent one first.

    A version that a rollback replaced is excluded, unless it was deployed again. ``history`` lists
    the deployments, newest first.

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
