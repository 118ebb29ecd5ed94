"""Served versions: reload, verification, corrupt bundles, load, database outages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from vigie.errors import SettingsError, TransientError
from vigie.records import Deployment
from vigie.serving.app import create_app_with
from vigie.testing import FakeServices
from vigie.training.servable_files import unpack

NAME = "breast_cancer"
Deploy = Callable[..., Deployment]


def version(client: TestClient, features: dict[str, Any]) -> int:
    version: int = client.post("/predict", json={"features": features}).json()["model_version"]
    return version


def state(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/ready").json()["models"][0]
    return found


def flip(path: Path, place: float) -> None:
    raw = bytearray(path.read_bytes())
    raw[min(int(len(raw) * place), len(raw) - 1)] ^= 0x01
    path.chmod(0o600)
    path.write_bytes(raw)


def down(*_: Any, **__: Any) -> Any:
    raise TransientError("PostgreSQL did not answer")


def test_a_new_champion_is_served_without_a_restart(
    client: TestClient, app: FastAPI, versions: Any, deploy: Deploy, features: dict[str, float]
) -> None:
    assert version(client, features) == 1
    deploy(2, versions[1])
    app.state.poller.step()
    assert version(client, features) == 2


def test_the_poller_loads_a_new_champion(
    served: FakeServices, versions: Any, deploy: Deploy, features: dict[str, float]
) -> None:
    app = create_app_with(served, page=False, poll_s=0.01)
    with TestClient(app) as client:
        deploy(2, versions[1])
        slot = app.state.serving.champions.slot(NAME)
        for _ in range(500):
            if slot.served.version == 2:
                break
            threading.Event().wait(0.01)
        assert version(client, features) == 2


def test_a_rollback_serves_the_old_version(
    client: TestClient, app: FastAPI, versions: Any, deploy: Deploy, features: dict[str, float]
) -> None:
    deploy(2, versions[1])
    app.state.poller.step()
    deploy(1, None)
    app.state.poller.step()
    assert version(client, features) == 1
    assert state(client)["deployment"] == 3


@pytest.mark.parametrize("place", [0.0, 0.37, 0.99])
@pytest.mark.parametrize(
    "file", ["model.skops", "schema.json", "golden.json", "profile.json", "manifest.json"]
)
def test_a_corrupt_bundle_keeps_the_champion(
    client: TestClient,
    app: FastAPI,
    served: FakeServices,
    versions: Any,
    deploy: Deploy,
    features: dict[str, float],
    file: str,
    place: float,
) -> None:
    deploy(2, versions[1])
    flip(served.paths.artifacts / NAME / "v2" / file, place)
    app.state.poller.step()
    assert version(client, features) == 1
    ready = client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["models"][0]["last_error"]["version"] == 2
    assert client.get("/model").json()["last_error"]["error"]
    counted = 'vigie_model_load_failures_total{model="breast_cancer"} 1.0'
    assert counted in client.get("/metrics").text


def test_a_bundle_with_other_predictions_keeps_the_champion(
    client: TestClient, app: FastAPI, versions: Any, deploy: Deploy, features: dict[str, float]
) -> None:
    mixed = {
        **versions[1],
        "model.skops": versions[0]["model.skops"],
    }  # a valid file of another version
    deploy(2, mixed)
    app.state.poller.step()
    assert version(client, features) == 1
    assert "golden row" in state(client)["last_error"]["error"]


def test_a_missing_bundle_keeps_the_champion(
    client: TestClient, app: FastAPI, deploy: Deploy, features: dict[str, float]
) -> None:
    deploy(2, None)
    app.state.poller.step()
    assert version(client, features) == 1
    assert "missing" in state(client)["last_error"]["error"]


def test_a_failed_version_is_not_loaded_again_at_every_refresh(
    client: TestClient, app: FastAPI, deploy: Deploy
) -> None:
    deploy(2, None)
    for _ in range(3):
        app.state.poller.step()
    counted = 'vigie_model_load_failures_total{model="breast_cancer"} 1.0'
    assert counted in client.get("/metrics").text


def test_a_rollback_clears_the_error(
    client: TestClient, app: FastAPI, deploy: Deploy, features: dict[str, float]
) -> None:
    deploy(2, None)
    app.state.poller.step()
    deploy(1, None)
    app.state.poller.step()
    assert state(client)["last_error"] is None


def test_with_only_a_corrupt_bundle_the_service_is_not_ready(
    client: TestClient, served: FakeServices
) -> None:
    flip(served.paths.artifacts / NAME / "v1" / "model.skops", 0.5)
    with TestClient(create_app_with(served, page=False)) as second:
        ready = second.get("/ready")
        assert ready.status_code == 503
        assert "model.skops" in ready.json()["models"][0]["last_error"]["error"]
        response = second.post("/predict", json={"features": {}})
        assert response.status_code == 503
        assert "model.skops" in response.json()["detail"]


def test_while_the_database_is_down_the_version_stays_and_the_service_is_not_ready(
    client: TestClient, app: FastAPI, served: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.deployments, "champion", down)
    app.state.poller.step()
    assert client.get("/model").json()["version"] == 1
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["problems"] == ["database: PostgreSQL did not answer"]
    assert "vigie_serving_database_up 0.0" in client.get("/metrics").text


def test_a_start_while_the_database_is_down_serves_the_copy_on_disk(
    served: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = served.deployments.champion(NAME)
    assert champion is not None
    served.bundles.write_champion(champion)
    monkeypatch.setattr(served.deployments, "champion", down)
    with TestClient(create_app_with(served, page=False)) as client:
        assert client.get("/model").json()["version"] == 1


@pytest.mark.parametrize(("number", "expected"), [(1, 1), (2, 1), (3, 2)])
def test_a_copy_older_than_the_served_version_is_ignored(
    client: TestClient,
    app: FastAPI,
    served: FakeServices,
    versions: Any,
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: int,
) -> None:
    second = deploy(2, versions[1])
    deploy(1, None)  # deployment 3, a rollback that serving has loaded
    app.state.poller.step()
    monkeypatch.setattr(served.deployments, "champion", down)
    copy = replace(second, number=number + 1)
    served.bundles.write_champion(copy)
    app.state.poller.step()
    assert client.get("/model").json()["version"] == expected


def test_an_edited_model_file_takes_effect_with_the_next_training(
    served: FakeServices, features: dict[str, float]
) -> None:
    path = served.paths.models / f"{NAME}.toml"
    text = path.read_text()
    assert "mean_radius = " in text
    path.write_text(text.replace("mean_radius = ", "mean_radius_mm = "))
    with TestClient(create_app_with(served, page=False)) as client:
        assert version(client, features) == 1
        assert client.get("/feature-names").json()["feature_names"][0] == "mean_radius"
        assert client.get("/model").json()["features"][0]["name"] == "mean_radius"


def test_an_invalid_model_file_does_not_affect_the_others(
    served: FakeServices, features: dict[str, float]
) -> None:
    (served.paths.models / "broken.toml").write_text("name = 1\n")
    with TestClient(create_app_with(served, page=False)) as client:
        assert version(client, features) == 1


def test_a_default_model_without_a_file_is_an_error_at_the_start(served: FakeServices) -> None:
    with pytest.raises(SettingsError, match="VIGIE_SERVING_MODEL"):
        create_app_with(served, page=False, default_model="nope")


def test_without_a_champion_the_response_is_503_with_the_command_to_run(
    services: FakeServices, model_folder: Path
) -> None:
    path = services.paths.models / f"{NAME}.toml"
    path.write_text((model_folder / path.name).read_text())
    with TestClient(create_app_with(services, page=False)) as client:
        assert client.get("/ready").status_code == 503
        response = client.post("/predict", json={"features": {}, "model": NAME})
        assert response.status_code == 503
        assert f"vigie retrain --model {NAME}" in response.json()["detail"]


def test_swaps_under_load_never_mix_two_versions(
    app: FastAPI, versions: Any, deploy: Deploy, cases: Any, services: FakeServices
) -> None:
    """Every response equals the offline prediction of the version that it names."""
    offline = {1 + i: unpack(files) for i, files in enumerate(versions)}
    rows = [features for features, _ in cases[:8]]
    expected = {
        (v, i): servable.predict([row])[0].probability
        for v, servable in offline.items()
        for i, row in enumerate(rows)
    }
    services.bundles.publish(NAME, 2, versions[1], {})
    app.state.poller.step()
    done = threading.Event()

    def ask(worker: int) -> list[tuple[int, int, float, int]]:
        client, found = TestClient(app), []
        place = worker
        while not done.is_set():
            place = (place + 1) % len(rows)
            response = client.post("/predict", json={"features": rows[place]})
            body = response.json()
            found.append((body["model_version"], place, body["probability"], response.status_code))
        return found

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(ask, worker) for worker in range(4)]
        for turn in range(50):
            deploy(2 - turn % 2, None)
            app.state.poller.step()
        done.set()
        found = [answer for worker in workers for answer in worker.result()]
    assert {status for *_, status in found} == {200}
    assert {v for v, *_ in found} == {1, 2}
    assert [a for a in found if a[2] != expected[a[0], a[1]]] == []
