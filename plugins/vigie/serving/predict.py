"""Answer a request with a model version, and store the answer before anybody sees it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.models.request import validate_features
from vigie.records import JobResult, Prediction

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.training.servable import ServableModel


@dataclass(frozen=True, slots=True)
class Usage:
    """What the serving process uses; None: not measured."""

    cpu_percent: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictReport(JobResult):
    """The stored event, its place in the API log, and the answer as 0 or 1."""

    prediction: Prediction
    label: int
    offset: int


def predict(
    services: Services,
    *,
    model: ModelFile,
    version: int,
    servable: ServableModel,
    features: Mapping[str, Any],
    usage: Usage | None = None,
) -> PredictReport:
    """Validate the features, ask the model, store the event; on failure nothing is stored.

    Parameters
    ----------
    services
        Only ``predictions`` and the clock are used.
    model, version, servable
        One model version: what validates, what answers and what the answer names belong together.
    features
        The request's, unchecked.
    usage
        CPU and memory of the process, for the API log.

    Raises
    ------
    FeatureError
        Naming every feature that is missing, unknown, mistyped, not finite or out of range.
    TransientError
        When the event cannot be stored.
    """
    started = time.perf_counter()
    checked = validate_features(model, features)
    answer = servable.predict([checked])[0]
    usage = usage or Usage()
    prediction = Prediction(
        transaction_id=str(uuid.uuid4()),
        model=model.name,
        model_version=version,
        features=checked,
        prediction=answer.label,
        probability=answer.probability,
        message=answer.message,
        created_at=services.now(),
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
        cpu_percent=usage.cpu_percent,
        memory_mb=usage.memory_mb,
    )
    offset = services.predictions.add(prediction)
    return PredictReport(
        prediction=prediction, label=int(answer.label == model.positive_label), offset=offset
    )
