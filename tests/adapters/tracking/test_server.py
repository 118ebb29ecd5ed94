"""The contract of the tracker on real MLflow servers with databases of PostgreSQL 15.

One server has no authentication, the other requires a login (``--app-name basic-auth``).
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from airflow.sdk import Connection

from vigie.adapters.tracking.tracker import MlflowTracker
from vigie.cli.local import check
from vigie.errors import SettingsError, TransientError
from vigie.local import check_probes
from vigie.local.check import check_roles
from vigie.local.ports import LOOPBACK, is_free
from vigie.local.processes import end
from vigie.operators.connections import overrides
from vigie.settings import MlflowSettings, Settings
from vigie.testing.contracts import tracker as contract
from vigie.testing.contracts.tracker import TrackerSubject
from vigie.wiring import open_services

_READY_S = 120
_USER = "vigie"
_PASSWORD = "CANARY: p@ss/word%"
_NAMES = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


@contextmanager
def database(postgres15_url: str) -> Iterator[str]:
    name = f"mlflow_{secrets.token_hex(6)}"
    engine = sa.create_engine(postgres15_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield engine.url.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(scope="session")
def mlflow_url(postgres15_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    with database(postgres15_url) as store, served(folder, store) as url:
        yield url


@pytest.fixture(scope="session")
def guarded_url(postgres15_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that requires a login for calls and artifacts."""
    folder = tmp_path_factory.mktemp("mlflow-guarded")
    with database(postgres15_url) as store:
        (folder / "auth.ini").write_text(
            f"[mlflow]\ndefault_permission = READ\nadmin_username = {_USER}\n"
            f"database_uri = {store.replace('%', '%%')}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        given = {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": _PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
        }
        with served(folder, store, given, _login()) as url:
            yield url


def _login(password: str = _PASSWORD) -> dict[str, str]:
    return {"MLFLOW_TRACKING_USERNAME": _USER, "MLFLOW_TRACKING_PASSWORD": password}


@contextmanager
def served(
    folder: Path,
    store: str,
    environment: Mapping[str, str] | None = None,
    login: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run an MLflow server and yield its address once it answers a query."""
    port = next(port for port in range(15000, 16000) if is_free(port))
    given = dict(environment or {}) | {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    options = ["--host", LOOPBACK, "--port", str(port), "--workers", "1", "--serve-artifacts"]
    options += ["--app-name", "basic-auth"] if login else []
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-I", "-m", "mlflow", "server", *options],
            cwd=folder,
            env=os.environ | given,
            stdout=log,
            stderr=log,
        )
    url = f"http://{LOOPBACK}:{port}"
    try:
        settings = MlflowSettings.model_validate({"MLFLOW_TRACKING_URI": url} | dict(login or {}))
        _wait(settings, server, folder / "log")
        yield url
    finally:
        process = psutil.Process(server.pid)
        end([process, *process.children(recursive=True)])
        server.wait()


def _wait(settings: MlflowSettings, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            check_probes.mlflow(settings)
            return
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


def test_a_model_is_loaded_from_the_registry_by_its_alias(
    mlflow_url: str, fitted: tuple[Any, Any], tmp_path: Path
) -> None:
    """The client shares no folder with the server, so the artifact store is used."""
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


def connection(url: str, **fields: str) -> dict[str, str]:
    """Return the settings that a task reads from a Connection to this server."""
    conn = Connection(conn_id="mlflow_default", conn_type="http", host=url, **fields)
    return overrides({"mlflow_default": conn})


@pytest.fixture
def in_a_task(guarded_url: str) -> Iterator[MlflowTracker]:
    """Return the tracker of a task whose Connection has another login than the environment."""
    values = connection(guarded_url, login=_USER, password=_PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _login("for another server").items():
            patch.setenv(name, value)
        with open_services(Settings.from_env(values)) as services:
            tracker = services.tracker
            assert isinstance(tracker, MlflowTracker)
            yield tracker
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "for another server"
        assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_a_tracker_with_a_login(
    check: Callable[[TrackerSubject], None],
    in_a_task: MlflowTracker,
    fitted: tuple[object, object],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        check(TrackerSubject(in_a_task, f"model_{secrets.token_hex(6)}", *fitted, tmp_path))
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(
    "fields", [{}, {"login": _USER, "password": "CANARY"}], ids=["no login", "wrong password"]
)
def test_a_refused_login_is_a_settings_error(
    guarded_url: str,
    fields: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in _login().items():  # A valid login, but not that of the Connection.
        monkeypatch.setenv(name, value)
    settings = Settings.from_env(connection(guarded_url, **fields))
    with open_services(settings) as services:
        asked = [
            lambda: services.tracker.alias("m", "champion"),
            lambda: services.tracker.run("e", "n").__enter__(),
            lambda: check_probes.mlflow(settings.mlflow),
        ]
        for ask in asked:
            with pytest.raises(SettingsError, match=_NAMES) as caught:
                ask()
            assert guarded_url in str(caught.value)
            assert "CANARY" not in str(caught.value) + repr(caught.value.__cause__)
    assert "CANARY" not in repr(settings) + caplog.text


def test_a_refused_artifact_is_a_settings_error(
    guarded_url: str, in_a_task: MlflowTracker, tmp_path: Path
) -> None:
    """If the password changes during a run, the client raises an error of ``requests``."""
    (tmp_path / "note.txt").write_text("x")
    with in_a_task.run("e", "n") as run:
        in_a_task._login = _login("changed")
        with pytest.raises(SettingsError, match=_NAMES):
            run.log_file(tmp_path / "note.txt")
        in_a_task._login = _login()


@pytest.mark.parametrize(
    ("password", "error", "exit_code"), [(_PASSWORD, None, 3), ("CANARY", SettingsError, 2)]
)
def test_check_passes_the_login(
    guarded_url: str,
    password: str,
    error: type[SettingsError] | None,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other roles are down; permanent problems are reported first."""
    for name, value in ({"MLFLOW_TRACKING_URI": guarded_url} | _login(password)).items():
        monkeypatch.setenv(name, value)
    [found] = [s for s in check_roles(Settings.from_env()).statuses if s.role == "tracking"]
    assert found.ok == (error is None)
    assert found.detail.startswith("MLflow 3") == found.ok
    with pytest.raises(error or TransientError) as caught:
        check()
    assert caught.value.exit_code == exit_code
    shown = capsys.readouterr()
    assert (_NAMES in shown.err) == (not found.ok)
    assert "CANARY" not in shown.out + shown.err + str(caught.value) + found.detail
