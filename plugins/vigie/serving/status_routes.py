"""The routes that only tell: health, readiness, the models, the metrics, the detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from vigie.models.request import describe
from vigie.serving.detectors import detector_metrics
from vigie.serving.strict_json import JsonResponse

if TYPE_CHECKING:
    from vigie.models.model_file import Feature, ModelFile
    from vigie.serving.champion import Served, Slot
    from vigie.serving.service import Serving

ModelName = Annotated[str | None, Query(max_length=64)]


def telling_router(serving: Serving, metrics_folder: Path) -> APIRouter:
    """Return the routes that read."""
    router = APIRouter(tags=["service"], default_response_class=JsonResponse)

    @router.get("/health")
    async def health() -> JsonResponse:
        """Tell that the process is alive, whatever it depends on."""
        return JsonResponse({"status": "ok"})

    @router.get("/ready")
    async def ready() -> JsonResponse:
        """Tell whether requests can be answered: 503 while none can, and of each model why."""
        problems = serving.problems()
        body = {
            "ready": not problems,
            "problems": problems,
            "models": [_state(slot) for slot in serving.champions],
        }
        return JsonResponse(body, 503 if problems else 200)

    @router.get("/model")
    async def model(model: ModelName = None) -> JsonResponse:
        """Tell which version answers, what it scored at its training and what it expects."""
        slot = serving.slot(model)
        return JsonResponse(_state(slot) | _facts(slot.served) | {"features": _schema(slot.model)})

    @router.get("/feature-names")
    async def feature_names(model: ModelName = None) -> JsonResponse:
        """Tell the names of the features, in the model's order."""
        found = serving.slot(model).model
        return JsonResponse({"model": found.name, "feature_names": found.feature_names})

    @router.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Tell the figures of serving and of every job, for Prometheus."""
        text = serving.telemetry.exposition(serving.champions, metrics_folder)
        return PlainTextResponse(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    @router.get("/api/v1/anomalies/metrics", tags=["anomalies"])
    def anomalies() -> JsonResponse:
        """Tell the champion version of each log detector, with the metrics of its training."""
        return JsonResponse({"models": detector_metrics(serving.services)})

    return router


def _state(slot: Slot) -> dict[str, Any]:
    served, failure = slot.served, slot.failure
    return {
        "model": slot.model.name,
        "title": slot.model.title,
        "version": served.version if served else None,
        "deployment": served.number if served else None,
        "last_error": failure
        and {"version": failure.version, "error": failure.error, "at": failure.at},
    }


def _facts(served: Served | None) -> dict[str, Any]:
    if served is None:
        return {}
    return {
        "deployed_at": served.deployed_at,
        "loaded_at": served.loaded_at,
        "sha256": served.sha256,
        "threshold": served.servable.threshold,
        "labels": {
            "positive": served.model.positive_label,
            "negative": served.model.negative_label,
        },
        "metrics": served.info.get("metrics", {}),
        "info": {key: value for key, value in served.info.items() if key != "metrics"},
    }


def _schema(model: ModelFile) -> list[dict[str, Any]]:
    return [_feature(feature, used=True) for feature in model.features] + [
        _feature(feature, used=False) for feature in model.accepted
    ]


def _feature(feature: Feature, *, used: bool) -> dict[str, Any]:
    return {
        "name": feature.name,
        "title": feature.title or feature.name,
        "type": feature.type,
        "min": feature.min,
        "max": feature.max,
        "categories": feature.categories,
        "required": feature.required and used,
        "used": used,
        "expected": describe(feature),
    }
