"""Read-only routes: health, readiness, models, metrics, detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from vigie.anomaly.detectors.registry import DETECTORS
from vigie.errors import DataError
from vigie.models.request import describe
from vigie.serving.strict_json import JsonResponse

if TYPE_CHECKING:
    from vigie.models.model_file import Feature, ModelFile
    from vigie.records import Deployment
    from vigie.roles import BundleStore
    from vigie.serving.champion import Served, Slot
    from vigie.serving.service import Serving

ModelName = Annotated[str | None, Query(max_length=64)]


def status_router(serving: Serving, metrics_folder: Path) -> APIRouter:
    """Return a router with the read-only routes."""
    routes = _Routes(serving, metrics_folder)
    router = APIRouter(tags=["service"], default_response_class=JsonResponse)
    router.get("/health")(routes.health)
    router.get("/ready")(routes.ready)
    router.get("/model")(routes.model)
    router.get("/feature-names")(routes.feature_names)
    router.get("/metrics")(routes.metrics)
    router.get("/api/v1/anomalies/metrics", tags=["anomalies"])(routes.anomalies)
    return router


class _Routes:
    """Handlers of the read-only routes."""

    def __init__(self, serving: Serving, metrics_folder: Path) -> None:
        self._serving = serving
        self._metrics_folder = metrics_folder

    async def health(self) -> JsonResponse:
        """Report that the process is alive; no other service is checked."""
        return JsonResponse({"status": "ok"})

    async def ready(self) -> JsonResponse:
        """Report whether predictions are possible; if not, respond 503 with the problems."""
        problems = self._serving.problems()
        models = [_state(slot) for slot in self._serving.champions]
        body = {"ready": not problems, "problems": problems, "models": models}
        return JsonResponse(body, 503 if problems else 200)

    async def model(self, model: ModelName = None) -> JsonResponse:
        """Return the served version of a model, its training metrics and its features."""
        slot = self._serving.slot(model)
        details = _details(slot.served) | {"features": _schema(slot.described)}
        return JsonResponse(_state(slot) | details)

    async def feature_names(self, model: ModelName = None) -> JsonResponse:
        """Return the names of the features in the model's order."""
        found = self._serving.slot(model).described
        return JsonResponse({"model": found.name, "feature_names": found.feature_names})

    def metrics(self) -> PlainTextResponse:
        """Return the metrics of serving and of the jobs that write metrics to local files."""
        text = self._serving.telemetry.exposition(self._serving.champions, self._metrics_folder)
        return PlainTextResponse(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def anomalies(self) -> JsonResponse:
        """Return the champion of each log detector with its training metrics."""
        services = self._serving.services
        found = [services.deployments.champion(name) for name in DETECTORS]
        return JsonResponse({"models": [_detector(services.bundles, d) for d in found if d]})


def _detector(bundles: BundleStore, deployment: Deployment) -> dict[str, Any]:
    """Return a detector's champion with the metrics in its bundle; MLflow is not needed."""
    entry: dict[str, Any] = {
        "name": deployment.model,
        "version": deployment.version,
        "deployed_at": deployment.deployed_at,
        "reason": deployment.reason,
    }
    try:
        info = bundles.open(deployment.model, deployment.version).info
        return entry | {"metrics": info.get("metrics", {})}
    except DataError as exc:
        return entry | {"metrics": None, "error": str(exc)}


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


def _details(served: Served | None) -> dict[str, Any]:
    if served is None:
        return {}
    model, info = served.model, dict(served.info)
    return {
        "deployed_at": served.deployed_at,
        "loaded_at": served.loaded_at,
        "sha256": served.sha256,
        "threshold": served.servable.threshold,
        "labels": {"positive": model.positive_label, "negative": model.negative_label},
        "metrics": info.pop("metrics", {}),
        "info": info,
    }


def _schema(model: ModelFile) -> list[dict[str, Any]]:
    features = (*model.features, *model.accepted)
    return [_feature(feature, used=feature in model.features) for feature in features]


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
