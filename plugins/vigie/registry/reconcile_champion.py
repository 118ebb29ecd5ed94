"""Make the copies of the champion agree with the deployments row, and say what was mended."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.catalogue import CHAMPION_VERSION
from vigie.errors import DataError
from vigie.records import Decision, Deployment, JobResult, Sample
from vigie.registry.champion_copies import point_alias, read_alias

if TYPE_CHECKING:
    from vigie.roles import Services
    from vigie.roles.artifacts import Bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport(JobResult):
    """The champion, what was mended, and what is wrong that a person must look at."""

    model: str
    version: int | None
    mended: tuple[str, ...]
    problems: tuple[str, ...]


def reconcile_champion(services: Services, *, model: str) -> ReconcileReport:
    """Compare ``champion.json`` and the registry's alias with the deployments row; mend the copies.

    The row is the truth and is never changed here. What was mended is recorded in the ledger, what
    cannot be mended (a damaged bundle, a registry that is down) is a problem of the report.
    """
    truth = services.deployments.champion(model)
    if truth is None:
        return _without_champion(services, model)
    mended, problems = _mend_copy(services, truth)
    bundle = _open(services, truth, problems)
    if bundle is not None:
        _mend_alias(services, truth, bundle, mended, problems)
    if mended:
        _record(services, truth, mended, problems)
    for problem in problems:
        log.warning("%s: %s", model, problem)
    return ReconcileReport(
        metrics=[Sample(CHAMPION_VERSION, float(truth.version), {"model": model})],
        model=model,
        version=truth.version,
        mended=tuple(mended),
        problems=tuple(problems),
    )


def _without_champion(services: Services, model: str) -> ReconcileReport:
    problems = []
    try:
        copy = services.bundles.read_champion(model)
    except DataError as exc:
        copy, problems = None, [str(exc)]
    if copy is not None:
        problems.append(f"champion.json names v{copy.version}, but nothing was ever deployed")
    return ReconcileReport(model=model, version=None, mended=(), problems=tuple(problems))


def _mend_copy(services: Services, truth: Deployment) -> tuple[list[str], list[str]]:
    try:
        copy = services.bundles.read_champion(truth.model)
    except DataError:
        copy = None
    if copy == truth:
        return [], []
    if copy is not None and not copy.is_older_than(truth):
        found = f"deployment {copy.number} (v{copy.version})"
        return [], [f"champion.json names {found}, which is newer than the database's newest"]
    services.bundles.write_champion(truth)
    was = f"named v{copy.version}" if copy else "was missing or damaged"
    return [f"champion.json {was}, now names v{truth.version}"], []


def _open(services: Services, truth: Deployment, problems: list[str]) -> Bundle | None:
    try:
        return services.bundles.open(truth.model, truth.version)
    except DataError as exc:
        problems.append(f"the champion's bundle is damaged: {exc}")
        return None


def _mend_alias(
    services: Services, truth: Deployment, bundle: Bundle, mended: list[str], problems: list[str]
) -> None:
    found, problem = read_alias(services, truth.model)
    if problem:
        problems.append(problem)
    elif found != truth.version and not (note := point_alias(services, truth, bundle.info)):
        if read_alias(services, truth.model)[0] == truth.version:  # not so without a registry
            was = f"v{found}" if found else "nothing"
            mended.append(f"the registry's alias named {was}, now names v{truth.version}")
    elif found != truth.version:
        problems.append(note)


def _record(services: Services, truth: Deployment, mended: list[str], problems: list[str]) -> None:
    services.ledger.record(
        Decision(
            key=f"reconcile:{truth.model}:{truth.number}:{services.now().isoformat()}",
            model=truth.model,
            kind="reconcile",
            verdict="yes",
            reasons=tuple(mended),
            facts={"version": truth.version, "number": truth.number, "problems": problems},
        )
    )
