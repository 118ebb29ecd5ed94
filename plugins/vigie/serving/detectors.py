"""What is known of the detectors of log lines (``specs``: the anomaly API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.roles import Services

DETECTORS = ("log_lstm_autoencoder", "log_isolation_forest")


def detector_metrics(services: Services) -> list[dict[str, Any]]:
    """Return the champion of each detector, oldest name first; one without a champion is left out.

    The figures are those recorded in the bundle when it was published, so MLflow may be down.
    """
    found = []
    for name in DETECTORS:
        deployment = services.deployments.champion(name)
        if deployment is None:
            continue
        entry: dict[str, Any] = {
            "name": name,
            "version": deployment.version,
            "deployed_at": deployment.deployed_at,
            "reason": deployment.reason,
        }
        try:
            info = services.bundles.open(name, deployment.version).info
            found.append({**entry, "metrics": info.get("metrics", {})})
        except DataError as exc:
            found.append({**entry, "metrics": None, "error": str(exc)})
    return found
