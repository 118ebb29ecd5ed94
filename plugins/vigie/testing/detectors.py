"""Deploy small trained detectors for tests of scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER, build_detector, pack

if TYPE_CHECKING:
    from vigie.records import Deployment
    from vigie.roles import Services

NORMAL = tuple(
    f"{unit} {verb} request <NUM> from <IP> in <NUM> ms"
    for unit in ("gateway", "worker", "scheduler", "cache")
    for verb in ("accepted", "finished", "forwarded")
)
"""Templates of normal log lines."""

SMALL: dict[str, dict[str, Any]] = {
    LSTM_AUTOENCODER: {"embedding": 8, "hidden": 16, "latent": 8, "epochs": 40}
}
"""Parameters with which a detector trains within a second."""


def deploy_detector(
    services: Services, name: str = LSTM_AUTOENCODER, lines: Sequence[str] = NORMAL
) -> Deployment:
    """Train a small detector on ``lines`` and deploy it as champion."""
    detector = build_detector(name, **SMALL.get(name, {})).fit(lines)
    threshold = float(detector.score(lines).max())
    version = services.deployments.next_version(name)
    files = pack(detector, lines, {"threshold": threshold, "tracked_run": "run"})
    services.bundles.publish(name, version, files, {"kind": "log_detector"})
    newest = services.deployments.champion(name)
    return services.deployments.deploy(
        name,
        version,
        expected_number=newest.number if newest else 0,
        actor="test",
        reason="a test needs it",
    )
