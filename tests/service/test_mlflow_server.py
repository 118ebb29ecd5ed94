"""The tracker's contract on a real MLflow server, whose store is a database of PostgreSQL 15."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from vigie.adapters.mlflow_tracker import MlflowTracker
from vigie.errors import TransientError
from vigie.local.ports import LOOPBACK, is_free
from vigie.local.probes import probe_mlflow
from vigie.local.processes import end
from vigie.testing.contracts import tracker as contract
from vigie.testing.contracts.tracker import TrackerSubject

_READY_S = 120


@pytest.fixture(scope="session")
def mlflow_database(postgres15_url: str) -> Iterator[str]:
    name = f"mlflow_{secrets.token_hex(6)}"
    engine = sa.create_engine(postgres15_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield engine.url.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(scope="session")
def mlflow_url(mlflow_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an MLflow server for this session, and return when it answers a real question."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = next(port for port in range(15000, 16000) if is_free(port))
    environment = {
        "MLFLOW_BACKEND_STORE_URI": mlflow_database,
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    options = ["--host", LOOPBACK, "--port", str(port), "--workers", "1", "--serve-artifacts"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-I", "-m", "mlflow", "server", *options],
            cwd=folder,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://{LOOPBACK}:{port}"
    try:
        _wait(url, server, folder / "log")
        yield url
    finally:
        process = psutil.Process(server.pid)
        end([process, *process.children(recursive=True)])
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return probe_mlflow(url)
        except TransientError as exc:
            is_gone = server.poll() is not None
            if is_gone or time.monotonic() > deadline:
                pytest.fail(f"mlflow server did not come up: {exc}\n{log.read_text()[-2000:]}")
        time.sleep(0.3)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_tracker(
    check: Callable[[TrackerSubject], None],
    mlflow_url: str,
    fitted: tuple[object, object],
    tmp_path: Path,
) -> None:
    tracker = MlflowTracker(mlflow_url)
    check(TrackerSubject(tracker, f"model_{secrets.token_hex(6)}", *fitted, tmp_path))


def test_a_model_comes_back_from_the_registry_by_its_alias(
    mlflow_url: str, fitted: tuple[Any, Any], tmp_path: Path
) -> None:
    """Through the server's artifact store: the client has no folder in common with it."""
    import mlflow

    model, rows = fitted
    name = f"model_{secrets.token_hex(6)}"
    subject = TrackerSubject(MlflowTracker(mlflow_url), name, model, rows, tmp_path)
    subject.tracker.register(name, 4, subject.logged("k"))
    subject.tracker.set_alias(name, "champion", 4)
    client = mlflow.MlflowClient(mlflow_url, mlflow_url)
    version = client.get_model_version_by_alias(name, "champion")
    assert version.tags["vigie.bundle_version"] == "4"
    copy = mlflow.artifacts.download_artifacts(
        artifact_uri=version.source, dst_path=str(tmp_path / "copy"), tracking_uri=mlflow_url
    )
    loaded = mlflow.sklearn.load_model(copy)
    assert loaded.predict(rows).tolist() == model.predict(rows).tolist()
