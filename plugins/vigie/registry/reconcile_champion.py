"""Repair of the champion's copies: ``champion.json`` and the alias in the registry."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import DataError
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import point_alias, read_alias

if TYPE_CHECKING:
    from vigie.roles import BundleStore, Services, Tracker
    from vigie.roles.stores import Bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult(JobResult):
    """The champion's version, the repaired copies, and the problems that remain."""

    model: str
    version: int | None
    repaired: tuple[str, ...]
    problems: tuple[str, ...]


def reconcile_champion(services: Services, *, model: str) -> ReconcileResult:
    """Repair ``champion.json`` and the alias if they differ from the newest deployment.

    The ledger records the repairs. ``problems`` lists what could not be repaired, such as a damaged
    bundle or an unreachable registry.

    Raises
    ------
    TransientError, SettingsError
        ``champion.json`` cannot be written, for example because the disk is full.
    """
    champion = services.deployments.champion(model)
    if champion is None:
        return _without_champion(services.bundles, model)
    repaired, problems = _repair_copy(services.bundles, champion)
    bundle = _open(services.bundles, champion, problems)
    if bundle is not None:
        _repair_alias(services.tracker, champion, bundle, repaired, problems)
    if repaired:
        _record(services, champion, repaired, problems)
    for problem in problems:
        log.warning("%s: %s", model, problem)
    return ReconcileResult(
        metrics=[Sample(CHAMPION_VERSION, float(champion.version), {"model": model})],
        model=model,
        version=champion.version,
        repaired=tuple(repaired),
        problems=tuple(problems),
    )


def _without_champion(bundles: BundleStore, model: str) -> ReconcileResult:
    problems = []
    try:
        copy = bundles.read_champion(model)
    except DataError as exc:
        copy, problems = None, [str(exc)]
    if copy is not None:
        problems.append(f"champion.json names v{copy.version}, but the database has no deployment")
    return ReconcileResult(model=model, version=None, repaired=(), problems=tuple(problems))


def _repair_copy(bundles: BundleStore, champion: Deployment) -> tuple[list[str], list[str]]:
    try:
        copy = bundles.read_champion(champion.model)
    except DataError:
        copy = None
    if copy == champion:
        return [], []
    if copy is not None and not copy.is_older_than(champion):
        found = f"deployment {copy.number} (v{copy.version})"
        return [], [
            f"champion.json names {found}, which is newer than all deployments in the database"
        ]
    bundles.write_champion(champion)
    was = f"named v{copy.version}" if copy else "was missing or damaged"
    return [f"champion.json {was}, now names v{champion.version}"], []


def _open(bundles: BundleStore, champion: Deployment, problems: list[str]) -> Bundle | None:
    try:
        return bundles.open(champion.model, champion.version)
    except DataError as exc:
        problems.append(f"the champion's bundle cannot be read: {exc}")
        return None


def _repair_alias(
    tracker: Tracker, champion: Deployment, bundle: Bundle, repaired: list[str], problems: list[str]
) -> None:
    found, problem = read_alias(tracker, champion.model)
    if problem:
        problems.append(problem)
    elif found != champion.version and (note := point_alias(tracker, champion, bundle.info)):
        problems.append(note)
    # Without a registry, `point_alias` succeeds but sets nothing, so read the alias again.
    elif found != champion.version == read_alias(tracker, champion.model)[0]:
        was = f"v{found}" if found else "nothing"
        repaired.append(f"the registry's alias named {was}, now names v{champion.version}")


def _record(
    services: Services, champion: Deployment, repaired: list[str], problems: list[str]
) -> None:
    services.ledger.record(
        Decision(
            key=f"reconcile:{champion.model}:{champion.number}:{services.now().isoformat()}",
            model=champion.model,
            kind="reconcile",
            verdict="yes",
            reasons=tuple(repaired),
            evidence={"version": champion.version, "number": champion.number, "problems": problems},
        )
    )
