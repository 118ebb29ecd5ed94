"""Simulated traffic through the real service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from vigie.cli.serve import parse_shifts
from vigie.demo.serving_client import ServingClient
from vigie.demo.simulate_traffic import MAX_FIRST_FAILURES, shift, simulate_traffic
from vigie.errors import (
    DataError,
    NotEnoughDataError,
    PermanentError,
    SettingsError,
    TransientError,
)
from vigie.models.catalog import get_model
from vigie.models.model_file import ModelFile
from vigie.testing import FakeServices

NAME = "breast_cancer"


@pytest.fixture
def model(model_folder: Path) -> ModelFile:
    return get_model(model_folder, NAME)


class Through:
    """A transport that calls the app in this process."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = self.client.request(
            request.method,
            request.url.raw_path.decode(),
            content=request.content,
            headers={"content-type": "application/json"},
        )
        return httpx.Response(response.status_code, content=response.content)


@pytest.fixture
def service(client: TestClient) -> ServingClient:
    return ServingClient("http://test", transport=httpx.MockTransport(Through(client)))


def answering(handler: Any) -> ServingClient:
    return ServingClient("http://test", transport=httpx.MockTransport(handler))


def test_sent_rows_are_stored_and_some_labelled(
    served: FakeServices, model: ModelFile, service: ServingClient
) -> None:
    report = simulate_traffic(served.paths.data, model=model, service=service, n=40, feedback=0.5)
    assert (report.sent, report.answered, report.refused, report.failed) == (40, 40, 0, 0)
    assert served.predictions.count(NAME) == 40
    assert served.labels.count(NAME) == report.labelled
    assert 10 <= report.labelled <= 30
    assert report.versions == {"1": 40}


def test_labels_are_the_true_ones(
    served: FakeServices, model: ModelFile, service: ServingClient, cases: Any
) -> None:
    truth = {tuple(features.values()): label for features, label in cases}
    simulate_traffic(served.paths.data, model=model, service=service, n=20, feedback=1.0)
    for row in served.predictions.window(NAME):
        assert row.actual == truth[tuple(row.prediction.features.values())]


def test_the_same_seed_sends_the_same_rows(
    served: FakeServices, model: ModelFile, service: ServingClient
) -> None:
    for seed in (1, 1, 2):
        simulate_traffic(
            served.paths.data, model=model, service=service, n=10, feedback=0.5, seed=seed
        )
    rows = [dict(p.features) for p in served.predictions.log]
    labelled = [bool(served.labels.history(p.transaction_id)) for p in served.predictions.log]
    assert rows[:10] == rows[10:20] != rows[20:]
    assert labelled[:10] == labelled[10:20]


def test_every_row_is_sent_before_any_is_sent_twice(
    served: FakeServices, model: ModelFile, service: ServingClient, cases: Any
) -> None:
    report = simulate_traffic(served.paths.data, model=model, service=service, n=len(cases) + 5)
    rows = {tuple(p.features.values()) for p in served.predictions.log[: len(cases)]}
    assert rows == {tuple(features.values()) for features, _ in cases}
    assert report.resampled


def test_a_shift_moves_the_feature_and_nothing_else(
    served: FakeServices, model: ModelFile, service: ServingClient
) -> None:
    simulate_traffic(served.paths.data, model=model, service=service, n=5)
    simulate_traffic(
        served.paths.data, model=model, service=service, n=5, shifts={"mean_radius": 2.5}
    )
    for plain, moved in zip(served.predictions.log[:5], served.predictions.log[5:], strict=True):
        expected = dict(plain.features) | {"mean_radius": plain.features["mean_radius"] + 2.5}
        assert moved.features == expected


def test_a_shift_is_limited_to_the_allowed_range_and_counted(
    served: FakeServices, model: ModelFile, service: ServingClient
) -> None:
    report = simulate_traffic(
        served.paths.data, model=model, service=service, n=5, shifts={"mean_radius": 1000}
    )
    assert {p.features["mean_radius"] for p in served.predictions.log} == {57.0}
    assert (report.answered, report.clipped) == (5, 5)


def test_a_missing_value_is_not_shifted(model: ModelFile) -> None:
    features: dict[str, Any] = {}
    assert shift(model, features, {"mean_radius": 1.0}) == 0
    assert features == {}


@pytest.mark.parametrize("shifts", [{"nope": 1.0}, {"diagnosis": 1.0}])
def test_a_shift_of_a_feature_that_is_not_a_number_is_rejected(
    served: FakeServices, model: ModelFile, service: ServingClient, shifts: Mapping[str, float]
) -> None:
    with pytest.raises(SettingsError, match="expected a numeric feature"):
        simulate_traffic(served.paths.data, model=model, service=service, n=1, shifts=shifts)


@pytest.mark.parametrize(("n", "feedback"), [(0, 0.0), (1, -0.1), (1, 1.1)])
def test_counts_and_shares_out_of_range_are_rejected(
    served: FakeServices, model: ModelFile, service: ServingClient, n: int, feedback: float
) -> None:
    with pytest.raises(SettingsError):
        simulate_traffic(served.paths.data, model=model, service=service, n=n, feedback=feedback)


def test_a_model_without_its_table_raises_not_enough_data(
    served: FakeServices, model_folder: Path, service: ServingClient
) -> None:
    model = get_model(model_folder, "lung_cancer")
    with pytest.raises(NotEnoughDataError, match="waiting for data"):
        simulate_traffic(served.paths.data, model=model, service=service, n=1)


def test_the_simulation_ends_if_the_service_never_responds(
    served: FakeServices, model: ModelFile
) -> None:
    asked = []

    def refused(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(TransientError, match="vigie up"):
        simulate_traffic(served.paths.data, model=model, service=answering(refused), n=100)
    assert len(asked) == MAX_FIRST_FAILURES


def test_single_failures_are_counted_and_quoted(
    served: FakeServices, model: ModelFile, client: TestClient
) -> None:
    turns = iter(range(1000))

    def flaky(request: httpx.Request) -> httpx.Response:
        if next(turns) % 3 == 1:
            return httpx.Response(503, json={"detail": "PostgreSQL did not response"})
        return Through(client)(request)

    report = simulate_traffic(served.paths.data, model=model, service=answering(flaky), n=9)
    assert (report.answered, report.failed, report.refused) == (6, 3, 0)
    assert report.errors == ("http://test/predict responded 503: PostgreSQL did not response",)


def test_rejected_input_is_counted_separately(served: FakeServices, model: ModelFile) -> None:
    service = answering(lambda _: httpx.Response(422, json={"detail": "no"}))
    report = simulate_traffic(served.paths.data, model=model, service=service, n=3)
    assert (report.answered, report.refused, report.failed) == (0, 3, 0)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, SettingsError),
        (404, PermanentError),
        (422, DataError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_each_status_raises_the_matching_error(status: int, error: type[Exception]) -> None:
    service = answering(lambda _: httpx.Response(status, text="<html>"))
    with pytest.raises(error, match=str(status)):
        service.predict(NAME, {})


@pytest.mark.parametrize("body", ["[]", "nope", "1"])
def test_a_response_that_is_not_an_object_is_a_data_error(body: str) -> None:
    with pytest.raises(DataError, match="not the prediction service"):
        answering(lambda _: httpx.Response(200, text=body)).predict(NAME, {})


def test_the_key_is_sent() -> None:
    seen = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("x-api-key"))
        return httpx.Response(200, json={})

    client = ServingClient("http://test", api_key="k", transport=httpx.MockTransport(note))
    client.predict(NAME, {})
    assert seen == ["k"]


@pytest.mark.parametrize("text", ["mean_radius", "mean_radius=", "mean_radius=x", "a=nan", "a=inf"])
def test_an_unreadable_shift_is_quoted(text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        parse_shifts([text])
