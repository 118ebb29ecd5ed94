"""Verification of the champion as a rollback target, before a training."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.errors import DataError
from vigie.records import JobResult
from vigie.retraining.run_files import staging_folder
from vigie.training.staging import remove_staged

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupResult(JobResult):
    """The verified version and the hash of its bundle; no version if there is no champion."""

    model: str
    version: int | None
    sha256: str = ""


def backup_current_model(services: Services, *, model: ModelFile, run_id: str) -> BackupResult:
    """Verify the champion's bundle and record its version as the rollback target.

    No copy is made, because bundles are never overwritten. Candidates that other runs staged more
    than seven days ago are removed.

    Raises
    ------
    DataError
        The champion's bundle is missing or damaged; roll back to an intact version first.
    """
    staging = staging_folder(services.paths, model.name, run_id)
    remove_staged(staging.parent, keep=staging, now=services.now())
    champion = services.deployments.champion(model.name)
    if champion is None:
        log.info("%s has no champion yet: nothing to back up", model.name)
        return BackupResult(model=model.name, version=None)
    try:
        bundle = services.bundles.open(model.name, champion.version)
    except DataError as exc:
        raise DataError(
            f"the champion {model.name} v{champion.version} cannot be a rollback target: {exc}; "
            f"roll back to an intact version: vigie rollback --model {model.name}"
        ) from exc
    services.state.put(
        state_keys.rollback_target(model.name),
        {"version": champion.version, "sha256": bundle.sha256, "run_id": run_id},
    )
    return BackupResult(model=model.name, version=champion.version, sha256=bundle.sha256)
