"""Make sure that there is a way back before anything is changed."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.errors import DataError
from vigie.records import JobResult
from vigie.registry.decisions import staging_folder

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

log = logging.getLogger(__name__)

KEEP_STAGED = timedelta(days=7)  # long enough to look at a refused challenger


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport(JobResult):
    """Which version a rollback goes back to; None while there is no champion."""

    model: str
    version: int | None
    sha256: str = ""


def backup_current_model(services: Services, *, model: ModelFile, run_id: str) -> BackupReport:
    """Verify the champion's bundle, file by file, and record it as the version to go back to.

    Bundles are never overwritten, so the verified one is the backup; nothing is copied.

    Raises
    ------
    DataError
        The champion's bundle is missing or damaged: roll back to a sound one first.
    """
    _sweep(services, model.name, run_id)
    champion = services.deployments.champion(model.name)
    if champion is None:
        log.info("%s has no champion yet: nothing to back up", model.name)
        return BackupReport(model=model.name, version=None)
    try:
        bundle = services.bundles.open(model.name, champion.version)
    except DataError as exc:
        raise DataError(
            f"the champion {model.name} v{champion.version} cannot be backed up: {exc}; "
            f"go back to a sound version: vigie rollback --model {model.name}"
        ) from exc
    services.state.put(
        state_keys.rollback_target(model.name),
        {"version": champion.version, "sha256": bundle.sha256, "run_id": run_id},
    )
    return BackupReport(model=model.name, version=champion.version, sha256=bundle.sha256)


def _sweep(services: Services, model: str, run_id: str) -> None:
    """Remove candidates that old runs left in the staging folder."""
    own = staging_folder(services, model, run_id)
    limit = services.now() - KEEP_STAGED
    for folder in own.parent.glob("*"):
        written = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if folder != own and written < limit:
            shutil.rmtree(folder, ignore_errors=True)
