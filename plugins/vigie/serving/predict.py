"""Make a prediction with a model version and store it before it is returned."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vigie.models.request import validate_features
from vigie.records import JobResult, Prediction

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import PredictionStore
    from vigie.training.servable import ServableModel


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU and memory of the serving process; None: not measured."""

    cpu_percent: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult(JobResult):
    """The stored prediction, its offset in the API log, and its label as 0 or 1."""

    prediction: Prediction
    label: int
    offset: int


def predict(
    predictions: PredictionStore,
    *,
    now: Callable[[], datetime],
    model: ModelFile,
    version: int,
    servable: ServableModel,
    features: Mapping[str, Any],
    usage: Usage | None = None,
) -> PredictResult:
    """Validate the features, make the prediction and store it; on failure nothing is stored.

    ``model``, ``version`` and ``servable`` belong to one model version. ``features`` are the
    unvalidated features of the request. ``usage`` is recorded in the API log.

    Raises
    ------
    FeatureError
        If a feature is missing, unknown, of the wrong type, not finite or out of range.
    TransientError
        If the prediction cannot be stored.
    """
    started = time.perf_counter()
    checked = validate_features(model, features)
    output = servable.predict([checked])[0]
    usage = usage or Usage()
    prediction = Prediction(
        transaction_id=str(uuid.uuid4()),
        model=model.name,
        model_version=version,
        features=checked,
        prediction=output.label,
        probability=output.probability,
        message=output.message,
        created_at=now(),
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
        cpu_percent=usage.cpu_percent,
        memory_mb=usage.memory_mb,
    )
    offset = predictions.add(prediction)
    label = int(output.label == model.positive_label)
    return PredictResult(prediction=prediction, label=label, offset=offset)
