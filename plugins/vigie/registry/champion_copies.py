"""Copies of the champion's deployment row: ``champion.json`` and the alias in the registry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vigie.errors import VigieError
from vigie.records import Deployment

if TYPE_CHECKING:
    from vigie.roles import BundleStore, Tracker

log = logging.getLogger(__name__)

ALIAS = "champion"


def write_copies(
    bundles: BundleStore, tracker: Tracker, deployment: Deployment, info: Mapping[str, Any]
) -> tuple[str, ...]:
    """Write ``champion.json`` and the alias; return one sentence per copy that cannot be written.

    A full disk or an unreachable registry does not prevent a deployment;
    :func:`~vigie.registry.reconcile_champion.reconcile_champion` writes the missing copy later.
    """
    notes = (_write_file(bundles, deployment), point_alias(tracker, deployment, info))
    return tuple(note for note in notes if note)


def _write_file(bundles: BundleStore, deployment: Deployment) -> str:
    try:
        bundles.write_champion(deployment)
    except VigieError as exc:
        model, version = deployment.model, deployment.version
        note = f"champion.json does not name {model} v{version} yet: {exc}"
        log.warning("%s", note)
        return note
    return ""


def point_alias(tracker: Tracker, deployment: Deployment, info: Mapping[str, Any]) -> str:
    """Register the version, set the alias to it, and return the error, or an empty string."""
    model, version = deployment.model, deployment.version
    run_id = str(info.get("mlflow_run") or "")
    if not run_id:
        return ""  # Trained without tracking, so the registry does not contain the version.
    try:
        tracker.register(model, version, run_id)
        tracker.set_alias(model, ALIAS, version)
    except VigieError as exc:
        note = f"the registry's alias does not name {model} v{version} yet: {exc}"
        log.warning("%s", note)
        return note
    return ""


def read_alias(tracker: Tracker, model: str) -> tuple[int | None, str]:
    """Return the version that the alias names, and the error if the alias cannot be read."""
    try:
        return tracker.alias(model, ALIAS), ""
    except VigieError as exc:
        return None, f"cannot read the registry's alias: {exc}"
