"""What ``vigie up`` mends: a crash may have left SQL, the registry and the files apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import DETECTORS
from vigie.errors import VigieError
from vigie.models.names import model_names
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.wiring import open_services

if TYPE_CHECKING:
    from vigie.local.database import Tell
    from vigie.settings import Settings


def reconcile_models(settings: Settings, tell: Tell) -> None:
    """Make the copies of every champion agree with the deployments table; tell what was not so.

    A model that cannot be reconciled does not stop the platform, and neither do the others.
    """
    with open_services(settings) as services:
        for model in (*model_names(settings.paths.models), *DETECTORS):
            try:
                report = reconcile_champion(services, model=model)
            except VigieError as exc:
                tell(f"{model}: not reconciled: {exc}")
                continue
            for line in (*report.mended, *report.problems):
                tell(f"{model}: {line}")
