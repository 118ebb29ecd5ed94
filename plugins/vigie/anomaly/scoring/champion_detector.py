"""The detector that scores now, opened and verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.errors import NotEnoughDataError

if TYPE_CHECKING:
    from vigie.anomaly.detectors.base import Detector
    from vigie.records import Deployment
    from vigie.roles import Services


@dataclass(frozen=True, slots=True)
class ChampionDetector:
    """A deployed detector with what was recorded when it was trained."""

    detector: Detector
    deployment: Deployment
    facts: dict[str, Any]

    @property
    def version(self) -> int:
        """The version of its bundle."""
        return self.deployment.version


def champion_detector(services: Services, name: str) -> ChampionDetector:
    """Open the champion of ``name``.

    Raises
    ------
    NotEnoughDataError
        Nobody trained one yet.
    DataError
        Its bundle is damaged, or its golden lines have other scores.
    """
    from vigie.anomaly.detectors.base import read_manifest, unpack

    deployment = services.deployments.champion(name)
    if deployment is None:
        raise NotEnoughDataError(
            f"no version of {name} is deployed; train one with `vigie anomaly train` "
            "or the DAG anomaly_model_training"
        )
    files = services.bundles.open(name, deployment.version).files
    return ChampionDetector(unpack(files), deployment, read_manifest(files))
