"""Fixtures of the whole suite; the environment is set before Airflow is imported."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.register_assert_rewrite("vigie.testing.contracts")  # works only before the import
pytest_plugins = ["support.real_servers", "support.served"]

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

_airflow_home = tempfile.TemporaryDirectory(prefix="vigie-test-airflow-")
os.environ |= {
    "AIRFLOW_HOME": _airflow_home.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow" / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GRADIO_ANALYTICS_ENABLED": "false",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "200",  # assertions on tables expect a wide terminal
}

if TYPE_CHECKING:
    from vigie.local.postgres import EmbeddedPostgres
    from vigie.testing import FakeServices


def pytest_report_header() -> list[str]:
    """Print the running real servers and the versions of libraries."""
    from servers.bring_up import SERVERS
    from servers.processes import process_of
    from servers.state import read_site

    site = read_site(ROOT)
    running = {
        name: site.versions.get(name, "?") if process_of(site, name) else "not running"
        for name in SERVERS
    }
    libraries = ("apache-airflow", "mlflow", "evidently", "elasticsearch", "confluent-kafka")
    return [
        "real servers (make services): " + _joined(running),
        "libraries: " + _joined({name: version(name) for name in libraries}),
    ]


def _joined(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in versions.items())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, because a slow file that starts last delays the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Isolate every test from the developer's settings and running platform."""
    from vigie.settings import known_variables

    for variable in known_variables():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VIGIE_HOME", str(request.getfixturevalue("tmp_path") / "no-platform"))


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that connects to another machine."""
    connect: Callable[..., Any] = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to connect to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Start one PostgreSQL per session, with a migrated template database."""
    from vigie.adapters.postgres.migrate import upgrade
    from vigie.local.postgres import EmbeddedPostgres

    folder = tmp_path_factory.mktemp("postgres") / "data"
    server = EmbeddedPostgres(folder, secrets.token_hex(8), durable=False)
    server.start()
    try:
        _execute(server, "CREATE DATABASE template_vigie")
        upgrade(server.url("template_vigie"))
        yield server
    finally:
        server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a new database, copied from the migrated template."""
    name = f"t_{secrets.token_hex(6)}"
    _execute(postgres, f"CREATE DATABASE {name} TEMPLATE template_vigie")
    yield postgres.url(name)
    _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: EmbeddedPostgres, statement: str) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


@pytest.fixture
def services(tmp_path: Path) -> FakeServices:
    """Return in-memory fakes of all roles, with files in ``tmp_path``."""
    from vigie.testing import FakeServices

    return FakeServices(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> FakeServices:
    """Return services with a trained detector, shared by the tests of a module."""
    from vigie.testing import FakeServices
    from vigie.testing.detectors import deploy_detector

    services = FakeServices(tmp_path_factory.mktemp("trained"))
    deploy_detector(services)
    return services


@pytest.fixture(scope="session")
def fitted() -> tuple[Any, Any]:
    """Return a small fitted pipeline and rows for it."""
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 0]})
    model = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=2, random_state=0))
    return model.fit(rows, [0, 0, 1, 1]), rows


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data next to the checkout; skip the test without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real data (../shared/data) is not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return the root of the checkout."""
    return ROOT
