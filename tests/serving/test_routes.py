"""The read-only routes."""

from __future__ import annotations

import re
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from vigie.adapters.metrics.text_files import MetricsFiles
from vigie.catalogue import JOB_SUCCEEDED, METRICS
from vigie.records import Sample
from vigie.serving.service import STALE_S
from vigie.testing import FakeServices


def test_health_depends_on_nothing(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}


def test_ready_lists_the_version_of_each_model(client: TestClient) -> None:
    body = client.get("/ready").json()
    assert body["ready"] is True
    assert body["problems"] == []
    assert body["models"] == [
        {
            "model": "breast_cancer",
            "title": "Breast tumour: malignant or benign",
            "version": 1,
            "deployment": 1,
            "last_error": None,
        }
    ]


def test_a_stuck_poller_makes_the_service_not_ready(client: TestClient) -> None:
    champions = client.app.state.serving.champions  # type: ignore[attr-defined]
    champions.looked_at -= STALE_S + 1
    assert client.get("/ready").status_code == 503


def test_model_has_metrics_threshold_features_and_sha256(
    client: TestClient, served: FakeServices
) -> None:
    body = client.get("/model").json()
    assert body["metrics"] == {"roc_auc": 0.99}
    assert body["info"] == {"candidate": "logistic_regression"}
    assert body["sha256"] == served.bundles.open("breast_cancer", 1).sha256
    assert 0 < body["threshold"] < 1
    assert len(body["features"]) == 30
    assert body["features"][0]["expected"] == "a number from 0 to 57"


def test_feature_names_are_in_the_order_of_the_model(client: TestClient) -> None:
    body = client.get("/feature-names").json()
    assert body["model"] == "breast_cancer"
    assert body["feature_names"][:2] == ["mean_radius", "mean_texture"]


def test_an_unknown_model_is_404(client: TestClient) -> None:
    assert client.get("/model?model=nope").status_code == 404
    assert client.get("/feature-names?model=nope").status_code == 404


def test_metrics_include_those_of_jobs(
    client: TestClient, served: FakeServices, features: dict[str, float]
) -> None:
    client.post("/predict", json={"features": features})
    MetricsFiles(served.paths.local / "metrics").push("dag", [Sample(JOB_SUCCEEDED, 1)])
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {f.name: f for f in text_string_to_metric_families(response.text)}
    assert sum(s.value for s in families["vigie_predictions"].samples) == 1
    assert families[JOB_SUCCEEDED].samples[0].labels == {"job": "dag"}


def test_every_metric_of_serving_is_in_the_catalogue(
    client: TestClient, features: dict[str, float]
) -> None:
    client.post("/predict", json={"features": features})
    names = {f.name for f in text_string_to_metric_families(client.get("/metrics").text)}
    known = {name.removesuffix("_total") for name in METRICS}
    assert names <= known | {"push_time_seconds"}


def test_a_requested_path_never_becomes_a_label(client: TestClient) -> None:
    client.get("/made/up/path")
    assert "made" not in client.get("/metrics").text


def test_detectors_without_a_champion_are_left_out(client: TestClient) -> None:
    assert client.get("/api/v1/anomalies/metrics").json() == {"models": []}


def test_detectors_have_the_metrics_of_their_bundle(
    client: TestClient, served: FakeServices
) -> None:
    name = "log_isolation_forest"
    served.bundles.publish(name, 4, {"weights.bin": b"w"}, {"metrics": {"anomaly_rate": 0.02}})
    served.deployments.deploy(name, 4, expected_number=0, actor="t", reason="trained")
    (found,) = client.get("/api/v1/anomalies/metrics").json()["models"]
    assert (found["name"], found["version"]) == (name, 4)
    assert found["metrics"] == {"anomaly_rate": 0.02}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/health"])
def test_the_content_policy_allows_no_other_host(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "cdn" not in response.text


def test_the_files_of_the_api_page_are_served_locally(client: TestClient) -> None:
    page = client.get("/docs").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert [name.rpartition("/")[2] for name in files if "favicon" not in name] == [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
    ]
    for file in files:
        assert client.get(file).status_code == 200


def test_the_docs_describe_both_bodies(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/feedback"):
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["additionalProperties"] is False


def test_stopping_ends_the_poller(served: FakeServices, app: object) -> None:
    with TestClient(app) as client:  # type: ignore[arg-type]
        client.get("/health")
    assert "champions" not in {thread.name for thread in threading.enumerate()}
