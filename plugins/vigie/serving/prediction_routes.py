"""Routes that write: ``POST /predict`` and ``POST /feedback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query

from vigie.models.request import FeatureError
from vigie.serving.strict_json import JsonResponse, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vigie.serving.api_key import ApiKey
    from vigie.serving.predict import PredictResult
    from vigie.serving.record_feedback import FeedbackResult
    from vigie.serving.service import Serving

Body = Annotated[dict[str, Any], Depends(json_object)]


def prediction_router(serving: Serving, guard: ApiKey) -> APIRouter:
    """Return the router of ``/predict`` and ``/feedback``; an API key applies to both."""
    router = APIRouter(dependencies=[Depends(guard)], tags=["predictions"])

    @router.post("/predict", openapi_extra=_request(_PREDICT_BODY), response_class=JsonResponse)
    def predict(
        body: Body, model: Annotated[str | None, Query(max_length=64)] = None
    ) -> JsonResponse:
        """Return the champion's prediction, which is stored before it is sent."""
        _check_keys(body, required=("features",), optional=("model",))
        features = body["features"]
        if not isinstance(features, dict):
            raise FeatureError({"features": "expected an object with a value for each feature"})
        name = _model_name(body.get("model"), model)
        return JsonResponse(prediction_body(serving.predict(name, features)))

    @router.post("/feedback", openapi_extra=_request(_FEEDBACK_BODY), response_class=JsonResponse)
    def feedback(body: Body) -> JsonResponse:
        """Record the label of a prediction; a different second label corrects the first."""
        _check_keys(body, required=("transaction_id", "actual"))
        result = serving.feedback(body["transaction_id"], body["actual"], "api")
        return JsonResponse(feedback_body(result))

    return router


def prediction_body(result: PredictResult) -> dict[str, Any]:
    """Return the response body; ``label`` is 1 for the positive label and 0 for the negative."""
    stored = result.prediction
    return {
        "transaction_id": stored.transaction_id,
        "prediction": stored.prediction,
        "label": result.label,
        "probability": stored.probability,
        "message": stored.message,
        "model": stored.model,
        "model_version": stored.model_version,
    }


def feedback_body(result: FeedbackResult) -> dict[str, Any]:
    """Return the response body with the outcome and all labels of the transaction."""
    recorded = [
        {"actual": label.actual, "seq": label.seq, "at": label.at, "source": label.source}
        for label in result.history
    ]
    return {
        "transaction_id": result.transaction_id,
        "actual": result.actual,
        "outcome": result.outcome.value,
        "recorded": recorded,
    }


def _check_keys(
    body: Mapping[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    known = (*required, *optional)
    problems = {key: "required" for key in required if key not in body}
    problems |= {key: f"unknown; expected {', '.join(known)}" for key in body if key not in known}
    if problems:
        raise FeatureError(problems)


def _model_name(in_body: Any, in_query: str | None) -> str | None:
    if in_body is not None and not isinstance(in_body, str):
        raise FeatureError({"model": "expected the name of a model"})
    if in_body and in_query and in_body != in_query:
        raise FeatureError({"model": "the body and the query name different models"})
    return in_body or in_query


def _request(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_PREDICT_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["features"],
    "additionalProperties": False,
    "properties": {
        "features": {"type": "object", "description": "Values by feature name; see GET /model."},
        "model": {"type": "string", "description": "Default: the model that GET /model returns."},
    },
}
_FEEDBACK_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["transaction_id", "actual"],
    "additionalProperties": False,
    "properties": {
        "transaction_id": {"type": "string"},
        "actual": {
            "description": "One of the model's labels, or 1 / 0, true / false, yes / no.",
            "oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}],
        },
    },
}
