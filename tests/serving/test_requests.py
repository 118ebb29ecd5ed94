"""POST /predict and POST /feedback with valid and invalid input."""

from __future__ import annotations

import asyncio
import errno
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from vigie.errors import DiskFullError, TransientError
from vigie.records import Prediction
from vigie.serving.app import create_app_with
from vigie.serving.strict_json import BodyLimit
from vigie.testing import FakeServices

JSON = {"content-type": "application/json"}


def post(client: TestClient, features: dict[str, Any], **more: Any) -> Any:
    content = json.dumps({"features": features, **more})
    return client.post("/predict", content=content, headers=JSON)


def test_a_response_has_transaction_label_and_version(
    client: TestClient, features: dict[str, float]
) -> None:
    response = post(client, features).json()
    assert sorted(response) == [
        "label",
        "message",
        "model",
        "model_version",
        "prediction",
        "probability",
        "transaction_id",
    ]
    assert (response["model"], response["model_version"]) == ("breast_cancer", 1)
    assert (response["prediction"], response["label"]) in (("malignant", 1), ("benign", 0))


def test_a_prediction_is_stored_before_it_is_returned(
    client: TestClient, served: FakeServices, features: dict[str, float]
) -> None:
    response = post(client, features).json()
    stored = served.predictions.get(response["transaction_id"])
    assert stored is not None
    assert stored.features == features
    assert (stored.prediction, stored.probability, stored.model_version) == (
        response["prediction"],
        response["probability"],
        1,
    )
    assert stored.created_at == served.now()
    assert stored.memory_mb is not None


def test_a_prediction_that_is_not_stored_is_not_returned(
    client: TestClient,
    served: FakeServices,
    features: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(_: Prediction) -> int:
        raise TransientError("PostgreSQL did not response")

    monkeypatch.setattr(served.predictions, "add", down)
    response = post(client, features)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == {"detail": "PostgreSQL did not response"}


@pytest.mark.parametrize(
    "error", [DiskFullError("the server's disk is full"), OSError(errno.ENOSPC, "disk is full")]
)
def test_a_full_disk_is_507(
    client: TestClient,
    served: FakeServices,
    features: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def full(*_: object) -> int:
        raise error

    transaction = post(client, features).json()["transaction_id"]
    monkeypatch.setattr(served.predictions, "add", full)
    monkeypatch.setattr(served.labels, "add", full)
    feedback = {"transaction_id": transaction, "actual": "benign"}
    for response in (post(client, features), client.post("/feedback", json=feedback)):
        assert response.status_code == 507
        assert "disk is full" in response.json()["detail"]


def test_the_response_to_an_unexpected_error_has_no_details(
    client: TestClient,
    served: FakeServices,
    features: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Prediction) -> int:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.predictions, "add", broken)
    response = post(client, features)
    assert response.status_code == 500
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "required"),
        ("17.5", "expected a number from 0 to 57, found '17.5'"),
        (True, "found True"),
        ([1], "found [1]"),
        ({}, "found {}"),
        (float("nan"), "found nan"),
        (float("inf"), "found inf"),
        (float("-inf"), "found -inf"),
        (-0.1, "found -0.1"),
        (58, "found 58"),
        (10**400, "expected a number"),
    ],
)
def test_an_invalid_value_is_422_and_named(
    client: TestClient,
    served: FakeServices,
    features: dict[str, Any],
    value: Any,
    says: str,
) -> None:
    response = post(client, features | {"mean_radius": value})
    assert response.status_code == 422
    assert list(response.json()["fields"]) == ["mean_radius"]
    assert says in response.json()["fields"]["mean_radius"]
    assert served.predictions.count() == 0


def test_all_invalid_fields_are_named_at_once(client: TestClient, features: dict[str, Any]) -> None:
    del features["mean_area"]
    response = post(client, features | {"mean_radius": "x", "mean_radios": 1})
    assert response.status_code == 422
    assert set(response.json()["fields"]) == {"mean_area", "mean_radius", "mean_radios"}
    assert "did you mean mean_radius" in response.json()["fields"]["mean_radios"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "line 1, column 2"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b'{"features": {"a": 1, "a": 2}}', 400, "duplicate key"),
        (b"[" * 60_000, 400, "nested too deeply"),
        (b'{"features":' * 5_000, 400, "nested too deeply"),
        (b'{"features": ' + b"9" * 5000 + b"}", 400, "not JSON"),
        (b"[]", 422, "expected a JSON object, found an array"),
        (b"null", 422, "found null"),
        (b"{}", 422, "features: required"),
        (b'{"features": []}', 422, "features: expected an object"),
        (b'{"features": {}, "feature": {}}', 422, "feature: unknown"),
        (b'{"features": {}, "model": 7}', 422, "model: expected the name of a model"),
        (b'{"features": {"\\ud800": 1}}', 422, "\\ud800"),
        (b'{"features": {}, "model": "nope"}', 404, "available: breast_cancer"),
    ],
    ids=str,
)
def test_a_body_that_is_not_a_request_is_rejected_with_the_reason(
    client: TestClient, body: bytes, status: int, says: str
) -> None:
    response = client.post("/predict", content=body, headers=JSON)
    assert response.status_code == status
    assert says in response.json()["detail"]


def test_an_html_form_is_415(client: TestClient) -> None:
    assert client.post("/predict", content=b"{}").status_code == 415


def test_a_declared_length_over_the_limit_is_413(client: TestClient) -> None:
    response = client.post("/predict", content=b" " * 65_537, headers=JSON)
    assert response.status_code == 413
    assert "65536" in response.json()["detail"]


def test_a_stream_over_the_limit_is_413_without_a_length(client: TestClient) -> None:
    def endless() -> Any:
        for _ in range(100):
            yield b" " * 1000

    assert client.post("/predict", content=endless(), headers=JSON).status_code == 413


def test_a_body_at_the_limit_is_read(client: TestClient, features: dict[str, float]) -> None:
    body = json.dumps({"features": features}).encode()
    response = client.post("/predict", content=body.ljust(65_536), headers=JSON)
    assert response.status_code == 200


def test_a_client_that_disconnects_is_not_an_error() -> None:
    """The app is not called, and no response is sent."""
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append("app")

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        asked.append("send")

    messages = iter(
        [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    scope = {"type": "http", "method": "POST", "headers": []}
    asyncio.run(BodyLimit(app)(scope, receive, send))
    assert asked == []


def test_a_body_that_never_ends_is_408() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": []}
    asyncio.run(BodyLimit(app, timeout_s=0.01)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_the_model_may_be_in_the_query_or_the_body(
    client: TestClient, features: dict[str, float]
) -> None:
    body = {"features": features}
    assert client.post("/predict?model=breast_cancer", json=body).status_code == 200
    assert post(client, features, model="breast_cancer").status_code == 200
    assert client.post("/predict?model=other", json=body).status_code == 404
    both = client.post("/predict?model=other", json=body | {"model": "breast_cancer"})
    assert both.status_code == 422


@pytest.mark.parametrize(
    ("actual", "means"),
    [
        ("malignant", "malignant"),
        (" Benign ", "benign"),
        (1, "malignant"),
        (0, "benign"),
        (True, "malignant"),
        (False, "benign"),
        ("1", "malignant"),
        ("false", "benign"),
    ],
)
def test_feedback_accepts_labels_and_truth_values(
    client: TestClient, features: dict[str, float], actual: Any, means: str
) -> None:
    transaction = post(client, features).json()["transaction_id"]
    response = client.post("/feedback", json={"transaction_id": transaction, "actual": actual})
    assert response.status_code == 200
    assert (response.json()["outcome"], response.json()["actual"]) == ("recorded", means)


@pytest.mark.parametrize("actual", ["YES!", 2, -1, 0.5, None, [], {}, "\x00"])
def test_feedback_that_is_not_a_label_is_422(
    client: TestClient, features: dict[str, float], actual: Any
) -> None:
    transaction = post(client, features).json()["transaction_id"]
    response = client.post("/feedback", json={"transaction_id": transaction, "actual": actual})
    assert response.status_code == 422
    assert "malignant" in response.json()["fields"]["actual"]


def test_feedback_for_an_unknown_transaction_is_404(client: TestClient) -> None:
    response = client.post("/feedback", json={"transaction_id": "none-such", "actual": 1})
    assert response.status_code == 404
    assert "none-such" in response.json()["detail"]


@pytest.mark.parametrize("transaction", [7, None, "", "a b", "x" * 65, "\x00", "'; --"])
def test_an_invalid_transaction_id_is_422(client: TestClient, transaction: Any) -> None:
    response = client.post("/feedback", json={"transaction_id": transaction, "actual": 1})
    assert response.status_code == 422
    assert list(response.json()["fields"]) == ["transaction_id"]


def test_a_different_second_label_is_a_correction_and_both_are_kept(
    client: TestClient, served: FakeServices, features: dict[str, float]
) -> None:
    transaction = post(client, features).json()["transaction_id"]
    responses = [
        client.post("/feedback", json={"transaction_id": transaction, "actual": actual}).json()
        for actual in (1, 1, 0)
    ]
    assert [response["outcome"] for response in responses] == [
        "recorded",
        "already_there",
        "corrected",
    ]
    assert [label["actual"] for label in responses[-1]["recorded"]] == ["malignant", "benign"]
    assert [label.actual for label in served.labels.history(transaction)] == ["malignant", "benign"]


def test_a_key_is_required_only_if_one_is_set(
    served: FakeServices, features: dict[str, float]
) -> None:
    app = create_app_with(served, page=False, api_key="k€y")
    with TestClient(app) as client:
        assert post(client, features).status_code == 401
        wrong = client.post("/feedback", json={}, headers={"X-API-Key": "no"})
        assert wrong.status_code == 401
        right = {b"X-API-Key": "k€y".encode()}
        body = {"features": features}
        assert client.post("/predict", json=body, headers=right).status_code == 200
        assert client.get("/health").status_code == 200
