"""The copies of the one truth (the deployments row): ``champion.json`` and the registry's alias."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vigie.errors import VigieError
from vigie.records import Deployment

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

ALIAS = "champion"


def write_copies(
    services: Services, deployment: Deployment, info: Mapping[str, Any]
) -> tuple[str, ...]:
    """Write both copies; return what could not be written, in sentences.

    A full disk or a registry that is down neither stops nor undoes a deployment, whose record is
    still to be written; ``reconcile`` mends the copies later.
    """
    notes = (_write_file(services, deployment), point_alias(services, deployment, info))
    return tuple(note for note in notes if note)


def _write_file(services: Services, deployment: Deployment) -> str:
    try:
        services.bundles.write_champion(deployment)
    except VigieError as exc:
        model, version = deployment.model, deployment.version
        note = f"champion.json does not name {model} v{version} yet: {exc}"
        log.warning("%s", note)
        return note
    return ""


def point_alias(services: Services, deployment: Deployment, info: Mapping[str, Any]) -> str:
    """Register the champion if its MLflow run is known, point the alias at it; say what failed."""
    model, version = deployment.model, deployment.version
    run_id = str(info.get("mlflow_run") or "")
    if not run_id:
        return ""  # trained while tracking was off: there is nothing to point at
    try:
        services.tracker.register(model, version, run_id)
        services.tracker.set_alias(model, ALIAS, version)
    except VigieError as exc:
        note = f"the registry's alias does not name {model} v{version} yet: {exc}"
        log.warning("%s", note)
        return note
    return ""


def read_alias(services: Services, model: str) -> tuple[int | None, str]:
    """Return the bundle version that the alias names, and what went wrong if it cannot be known."""
    try:
        return services.tracker.alias(model, ALIAS), ""
    except VigieError as exc:
        return None, f"the registry could not be asked: {exc}"
