"""``vigie demo --platform compose``: published ports and logins of ``.env``."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigie.cli.main import app
from vigie.demo import compose
from vigie.demo.airflow_api import AirflowApi
from vigie.demo.serving_client import ServingClient
from vigie.errors import SettingsError, TransientError

SECRETS = {
    "VIGIE_DB_PASSWORD": "d/b@1",
    "VIGIE_ES_PASSWORD": "es",
    "VIGIE_MLFLOW_PASSWORD": "mlflow",
    "AIRFLOW_ADMIN_PASSWORD": "airflow",
}


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: AirflowApi(url, "admin", "CANARY"),
        lambda url: ServingClient(url, api_key="CANARY").predict("m", {}),
    ],
    ids=["airflow", "serving"],
)
def test_no_login_is_sent_to_the_proxy_of_the_environment(
    ask: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default httpx uses the proxy for addresses of this machine, too."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
            ask("http://127.0.0.1:9")
        with pytest.raises(BlockingIOError):  # no connection was made
            proxy.accept()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    for variable in (*SECRETS, *(variable for variable, _ in compose.PORTS.values())):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def write_env(home: Path, values: Mapping[str, str]) -> None:
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def test_ports_and_variables_are_those_of_the_compose_files(project_root: Path) -> None:
    published = {
        name: int(default)
        for file in ("docker-compose.yml", "docker-compose.ports.yml")
        for name, default in re.findall(
            r'127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+"', (project_root / file).read_text()
        )
    }
    assert {name: published.get(name) for name, _ in compose.PORTS.values()} == dict(
        compose.PORTS.values()
    )


def test_every_service_is_addressed_at_its_published_port(home: Path) -> None:
    write_env(home, SECRETS | {"AIRFLOW_PORT": "18083", "KAFKA_PORT": "19092"})
    variables = compose.stack_variables(home, shell={})
    settings, target = compose.stack_settings(variables), compose.stack_target(home, variables)
    assert settings.database.url is not None
    url = settings.database.url.get_secret_value()
    assert url == "postgresql+psycopg2://vigie:d%2Fb%401@127.0.0.1:5432/vigie"
    assert settings.elasticsearch.host == "127.0.0.1"
    assert settings.stream.bootstrap_servers == "127.0.0.1:19092"
    assert settings.mlflow.tracking_uri == "http://127.0.0.1:5000"
    assert settings.mlflow.login() == {
        "MLFLOW_TRACKING_USERNAME": "vigie",
        "MLFLOW_TRACKING_PASSWORD": "mlflow",
    }
    assert settings.metrics.pushgateway_url == "http://127.0.0.1:9091"
    assert settings.source("KAFKA_BOOTSTRAP_SERVERS") == "the Compose stack"
    assert target.airflow_url == "http://127.0.0.1:18083"
    assert target.serving_url == "http://127.0.0.1:8080"
    assert (target.airflow_user, target.airflow_password) == ("admin", "airflow")
    assert target.logs == home / "data" / "stack" / "logs"


def test_the_environment_overrides_the_file_as_in_compose(home: Path) -> None:
    write_env(home, SECRETS | {"AIRFLOW_PORT": "1"})
    variables = compose.stack_variables(home, shell={"AIRFLOW_PORT": "2", "KAFKA_PORT": ""})
    assert compose.port("airflow", variables) == 2
    assert compose.port("kafka", variables) == 9092


def test_settings_of_another_elasticsearch_or_kafka_are_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("ELASTICSEARCH_SCHEME", "https")
    settings = compose.stack_settings(SECRETS)
    assert settings.source("KAFKA_SECURITY_PROTOCOL") == "the Compose stack"
    assert "SASL_SSL" not in repr(settings.stream)
    assert "https" not in repr(settings.elasticsearch)


def test_the_login_of_another_mlflow_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "another")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "another")
    assert compose.stack_settings(SECRETS).mlflow.login()["MLFLOW_TRACKING_USERNAME"] == "vigie"


def test_folders_of_the_local_platform_are_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DATA_DIR", "ARTIFACTS_DIR", "REPORTS_DIR"):
        monkeypatch.setenv(variable, "/elsewhere")
    paths = compose.stack_settings(SECRETS).paths
    assert (paths.data, paths.artifacts) == (home / "data", home / "artifacts")
    assert paths.reports == home / "reports"


def test_the_error_for_a_missing_secret_has_the_command_to_run(home: Path) -> None:
    write_env(home, {"VIGIE_DB_PASSWORD": "x"})
    with pytest.raises(SettingsError, match=r"VIGIE_ES_PASSWORD.*make secrets"):
        compose.stack_variables(home, shell={})


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1"])
def test_an_invalid_port_is_rejected(text: str) -> None:
    with pytest.raises(SettingsError, match="MLFLOW_PORT"):
        compose.port("mlflow", {"MLFLOW_PORT": text})


def test_a_closed_port_is_named() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        taken = str(listening.getsockname()[1])
        variables = {variable: taken for variable, _ in compose.PORTS.values()}
        compose.require_ports(variables)
    with pytest.raises(TransientError, match=f"kafka at 127.0.0.1:{taken}.*up -d"):
        compose.require_ports(variables, timeout_s=0.5)


def test_the_repr_does_not_show_the_password(home: Path) -> None:
    assert "airflow)" not in repr(compose.stack_target(home, SECRETS | {"AIRFLOW_ADMIN_USER": "a"}))


def test_the_command_starts_nothing_without_secrets(home: Path) -> None:
    response = CliRunner().invoke(app, ["demo", "--platform", "compose"])
    assert isinstance(response.exception, SettingsError)
    assert not (home / "data").exists()
