"""Shared parts of the contract tests of the stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vigie.records import Prediction
from vigie.roles import DeploymentStore, LabelStore, Ledger, Locks, PredictionStore, StateStore
from vigie.testing.services import Clock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

#: Text with characters that databases reject (NUL, a lone surrogate), and its stored form.
UGLY = "a\x00b\udcffc\u2028d"
CLEAN = "a\\x00b\\udcffc\u2028d"


@dataclass
class Records:
    """The stores of one database, and the clock that they use."""

    predictions: PredictionStore
    labels: LabelStore
    deployments: DeploymentStore
    ledger: Ledger
    state: StateStore
    locks: Locks
    clock: Clock


def prediction(number: int = 0, **changes: Any) -> Prediction:
    """Return a prediction whose transaction id and time are derived from ``number``."""
    values: dict[str, Any] = {
        "transaction_id": f"t{number:05}",
        "model": "breast_cancer",
        "model_version": 3,
        "features": {"mean_radius": 14.5, "n": number, "smoker": True, "note": None},
        "prediction": "YES",
        "probability": 0.75,
        "message": "see a doctor",
        "created_at": NOON + timedelta(minutes=number),
        "latency_ms": 12.345,
        "cpu_percent": 3.1,
        "memory_mb": 210.5,
    }
    return Prediction(**values | changes)
