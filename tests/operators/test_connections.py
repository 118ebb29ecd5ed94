"""Airflow Connections become settings in tasks, and `vigie check` compares them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.execution_time.context import _preset_connections

from vigie.errors import SettingsError
from vigie.local.connection_check import HIDDEN, ListedConnection, changed
from vigie.operators.connection_settings import READERS
from vigie.operators.connections import (
    connection_overrides_of_trigger,
    overrides,
    parse_connection,
)
from vigie.settings import Settings, known_variables


def read(conn_id: str, **fields: Any) -> dict[str, str]:
    """Return the settings of a Connection, without those that it resets."""
    extra = fields.pop("extra", None)
    conn = Connection(conn_id=conn_id, extra=extra and json.dumps(extra), **fields)
    return {name: value for name, value in overrides({conn_id: conn}).items() if value}


def test_elasticsearch_sets_address_scheme_and_user() -> None:
    assert read(
        "elasticsearch_default",
        conn_type="elasticsearch",
        host="es.example.org",
        port=9243,
        schema="https",
        login="elastic",
        password="p@ss/word",
        extra={"ca_certs": "/etc/ca.pem", "verify_certs": False},
    ) == {
        "ELASTICSEARCH_HOST": "es.example.org",
        "ELASTICSEARCH_PORT": "9243",
        "ELASTICSEARCH_SCHEME": "https",
        "ELASTICSEARCH_USER": "elastic",
        "ELASTICSEARCH_PASSWORD": "p@ss/word",
        "ELASTICSEARCH_CA_CERTS": "/etc/ca.pem",
        "ELASTICSEARCH_VERIFY_CERTS": "false",
    }


def test_elasticsearch_accepts_an_api_key_and_a_url_as_host() -> None:
    found = read(
        "elasticsearch_default",
        conn_type="elasticsearch",
        host="https://es.example.org:9243",
        extra={"api_key": "a2V5"},
    )
    assert found == {
        "ELASTICSEARCH_HOST": "es.example.org",
        "ELASTICSEARCH_PORT": "9243",
        "ELASTICSEARCH_SCHEME": "https",
        "ELASTICSEARCH_API_KEY": "a2V5",
    }


def test_a_uri_gives_the_same_settings_as_fields() -> None:
    conn = parse_connection("elasticsearch_default", "elasticsearch://u:p%40@es:9243/https")
    found = overrides({"elasticsearch_default": conn})
    assert (found["ELASTICSEARCH_SCHEME"], found["ELASTICSEARCH_PASSWORD"]) == ("https", "p@")


@pytest.mark.parametrize(
    "text",
    [
        "{CANARY",
        '{"port": "CANARY"}',
        '{"CANARY": 1}',
        '{"conn_type": 1}',
        "kafka://me:CANARY/@broker:1",
        "http://me:CANARY@a://b://c",
    ],
)
def test_an_invalid_connection_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_KAFKA_DEFAULT") as caught:
        parse_connection("kafka_default", text)
    assert "CANARY" not in str(caught.value)


def test_the_extra_of_kafka_is_a_configuration_of_librdkafka() -> None:
    assert read(
        "kafka_default",
        conn_type="kafka",
        extra={
            "bootstrap.servers": "a:9093,b:9093",
            "security.protocol": "sasl_ssl",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": "vigie",
            "sasl.password": "secret",
            "ssl.ca.location": "/etc/ca.pem",
            "ssl.certificate.location": "/etc/own.pem",
            "ssl.key.location": "/etc/own.key",
            "group.id": "of another client",
        },
    ) == {
        "KAFKA_BOOTSTRAP_SERVERS": "a:9093,b:9093",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "vigie",
        "KAFKA_SASL_PASSWORD": "secret",
        "KAFKA_SSL_CA_LOCATION": "/etc/ca.pem",
        "KAFKA_SSL_CERTIFICATE_LOCATION": "/etc/own.pem",
        "KAFKA_SSL_KEY_LOCATION": "/etc/own.key",
    }


def test_a_kafka_uri_sets_one_server() -> None:
    conn = parse_connection("kafka_default", "kafka://broker")
    assert overrides({"kafka_default": conn})["KAFKA_BOOTSTRAP_SERVERS"] == "broker:9092"


def test_postgres_becomes_a_quoted_url() -> None:
    found = read(
        "vigie_default",
        conn_type="postgres",
        host="db.example.org",
        port=5433,
        login="vigie",
        password="p@ss/word%",
        schema="vigie",
        extra={"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "cursor": "dictcursor"},
    )
    assert found["VIGIE_DATABASE_URL"] == (
        "postgresql+psycopg2://vigie:p%40ss%2Fword%25@db.example.org:5433/vigie"
        "?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"
    )


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"conn_type": "http", "host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"conn_type": "generic", "host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"conn_type": "http", "host": "mlflow", "schema": "https"}, "https://mlflow"),
        ({"conn_type": "http", "host": "https://mlflow.org/base/"}, "https://mlflow.org/base"),
        ({"conn_type": "http", "host": "::1", "port": 5000}, "http://[::1]:5000"),
    ],
)
def test_the_url_of_a_web_service_is_built_from_the_fields(
    fields: dict[str, Any], url: str
) -> None:
    if fields["host"] == "::1":
        fields = fields | {"host": "http://[::1]"}
    assert read("mlflow_default", **fields) == {"MLFLOW_TRACKING_URI": url}
    assert read("pushgateway_default", **fields) == {"PROMETHEUS_PUSHGATEWAY_URL": url}


LOGIN = {"conn_type": "http", "host": "mlflow", "login": "me", "password": "p@:"}


def test_the_url_of_the_pushgateway_contains_the_login() -> None:
    found = read("pushgateway_default", **LOGIN)
    assert found == {"PROMETHEUS_PUSHGATEWAY_URL": "http://me:p%40%3A@mlflow"}


def test_the_url_of_mlflow_does_not_contain_the_login() -> None:
    found = read("mlflow_default", **LOGIN)
    assert found == {
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": "p@:",
    }
    settings = Settings.from_env(found).mlflow
    assert settings.tracking_uri == "http://mlflow"
    assert settings.login()["MLFLOW_TRACKING_PASSWORD"] == "p@:"


def test_mlflow_accepts_a_token() -> None:
    found = read("mlflow_default", conn_type="http", host="mlflow", extra={"token": "CANARY"})
    assert found == {"MLFLOW_TRACKING_URI": "http://mlflow", "MLFLOW_TRACKING_TOKEN": "CANARY"}


def test_the_password_of_the_page_is_the_token_of_the_space() -> None:
    found = read("gradio_default", conn_type="http", host="https://u-s.hf.space", password="hf_x")
    assert found == {"GRADIO_URL": "https://u-s.hf.space", "HF_TOKEN": "hf_x"}


@pytest.mark.parametrize(
    ("conn_id", "fields", "expected"),
    [
        ("elasticsearch_default", {"conn_type": "elasticsearch"}, "has no host"),
        ("kafka_default", {"conn_type": "kafka"}, r"bootstrap\.servers"),
        ("vigie_default", {"conn_type": "postgres", "host": "db"}, "no login, no schema"),
        ("kafka_default", {"extra": "{CANARY"}, "not JSON"),
        ("kafka_default", {"extra": "[1]"}, "not a JSON object"),
        ("mlflow_default", {"host": "http://mlflow:CANARY"}, "port is invalid"),
        ("mlflow_default", {"host": "http://[CANARY"}, "host or the port is invalid"),
        ("elasticsearch_default", {"host": "https://proxy/CANARY"}, "path"),
    ],
)
def test_a_connection_without_a_required_field_is_refused(
    conn_id: str, fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        overrides({conn_id: Connection(conn_id=conn_id, **fields)})
    assert conn_id in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_every_variable_of_a_connection_is_a_setting() -> None:
    full = {"conn_type": "http", "host": "h", "login": "l", "schema": "s"}
    given = {
        variable
        for conn_id, reader in READERS.items()
        for variable in reader(conn_id, Connection(conn_id=conn_id, **full))
    }
    assert given <= set(known_variables())


def test_a_password_of_the_environment_is_not_sent_to_the_server_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_HOST", "mine")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "for mine only")
    monkeypatch.setenv("ELASTICSEARCH_USER", "me")
    conn = Connection(conn_id="elasticsearch_default", conn_type="elasticsearch", host="theirs")
    settings = Settings.from_env(
        overrides({"elasticsearch_default": conn}), override_source="Airflow Connection"
    )
    assert settings.elasticsearch.host == "theirs"
    assert settings.elasticsearch.password is None
    assert settings.elasticsearch.user is None
    assert settings.source("ELASTICSEARCH_PASSWORD") == "Airflow Connection"


@pytest.mark.parametrize(
    "ours",
    [
        {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "for mine only"},
        {"MLFLOW_TRACKING_TOKEN": "for mine only"},
    ],
)
def test_a_login_of_the_environment_is_not_sent_to_the_mlflow_of_a_connection(
    monkeypatch: pytest.MonkeyPatch, ours: dict[str, str]
) -> None:
    for variable, value in ours.items():
        monkeypatch.setenv(variable, value)
    conn = Connection(conn_id="mlflow_default", conn_type="http", host="theirs")
    settings = Settings.from_env(overrides({"mlflow_default": conn}))
    assert settings.mlflow.login() == {}


def test_the_log_contains_variables_without_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    everything = {"login": "CANARY", "password": "CANARY", "host": "CANARY", "schema": "CANARY"}
    for conn_id in READERS:
        extra = {"sasl.password": "CANARY", "api_key": "CANARY", "ssl.key.password": "CANARY"}
        read(conn_id, **everything, extra=extra)
    assert "ELASTICSEARCH_API_KEY" in caplog.text
    assert "ssl.key.password" in caplog.text  # ignored, with a warning
    assert "CANARY" not in caplog.text


@pytest.fixture
def preset() -> Iterator[None]:
    """Provide a Connection as in the process of a task."""
    conn = Connection(conn_id="kafka_default", conn_type="kafka", host="broker", port=1)
    absent = set(READERS) - {"kafka_default"}
    token = _preset_connections.set({"kafka_default": conn})
    with pytest.MonkeyPatch.context() as patch:
        for conn_id in absent:  # otherwise Airflow would request it from its API server
            patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", f"http://u:p@{conn_id}.example/db")
        yield
    _preset_connections.reset(token)


@pytest.mark.usefixtures("preset")
def test_a_trigger_reads_connections_without_blocking_the_event_loop() -> None:
    found = asyncio.run(connection_overrides_of_trigger())
    assert found["KAFKA_BOOTSTRAP_SERVERS"] == "broker:1"
    assert found["ELASTICSEARCH_HOST"] == "elasticsearch_default.example"
    assert found["VIGIE_DATABASE_URL"] == "postgresql+psycopg2://u:p@vigie_default.example/db"


def listed(**fields: Any) -> ListedConnection:
    """Return a Connection as in a response of Airflow's API."""
    names = ("conn_type", "host", "schema", "login", "password", "port", "extra")
    return ListedConnection(**dict.fromkeys(names) | fields)


def differing(conn_id: str, conn: ListedConnection) -> list[str]:
    return list(changed(Settings.from_env(), READERS[conn_id](conn_id, conn)))


def test_check_reports_the_variables_that_a_connection_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "mine:9092")
    same = listed(extra='{"bootstrap.servers": "mine:9092"}')
    other = listed(extra='{"bootstrap.servers": "theirs:9092"}')
    assert differing("kafka_default", same) == []
    assert differing("kafka_default", other) == ["KAFKA_BOOTSTRAP_SERVERS"]


def test_a_hidden_password_differs_only_if_the_shell_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql+psycopg2://me:{}@db:5432/vigie"
    conn = listed(host="db", port=5432, login="me", password=HIDDEN, schema="vigie")
    assert differing("vigie_default", conn) == ["VIGIE_DATABASE_URL"]
    monkeypatch.setenv("VIGIE_DATABASE_URL", url.format("secret"))
    assert differing("vigie_default", conn) == []
    tracking = listed(host="http://mlflow", login="me", password=HIDDEN)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    assert differing("mlflow_default", tracking) == ["MLFLOW_TRACKING_PASSWORD"]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert differing("mlflow_default", tracking) == []
    token = listed(host="http://space", password=HIDDEN)
    monkeypatch.setenv("GRADIO_URL", "http://space")
    assert differing("gradio_default", token) == ["HF_TOKEN"]
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert differing("gradio_default", token) == []


@pytest.mark.parametrize("ours", ["gw:9091", "http://gw:9091", "http://gw:9091/"])
def test_equivalent_urls_are_equal(monkeypatch: pytest.MonkeyPatch, ours: str) -> None:
    monkeypatch.setenv("PROMETHEUS_PUSHGATEWAY_URL", ours)
    gateway = listed(host="gw", port=9091)
    assert differing("pushgateway_default", gateway) == []
    monkeypatch.setenv("PROMETHEUS_PUSHGATEWAY_URL", ours.replace("gw", "me:p!ss@gw"))
    assert differing("pushgateway_default", gateway) == ["PROMETHEUS_PUSHGATEWAY_URL"]
    for password in (HIDDEN, "p!ss"):
        with_login = listed(host="gw", port=9091, login="me", password=password)
        assert differing("pushgateway_default", with_login) == []
    other = listed(host="gw", port=9092, login="me", password=HIDDEN)
    assert differing("pushgateway_default", other) == ["PROMETHEUS_PUSHGATEWAY_URL"]


@pytest.mark.parametrize("ours", ["gw:9091", "http://gw:port"])
def test_a_hidden_password_in_a_url_differs_from_a_url_without_one(
    monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    monkeypatch.setenv("PROMETHEUS_PUSHGATEWAY_URL", ours)
    conn = listed(host="gw", port=9091, login="me", password=HIDDEN)
    assert differing("pushgateway_default", conn) == ["PROMETHEUS_PUSHGATEWAY_URL"]


def test_connection_types_are_those_of_the_providers() -> None:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    assert {"elasticsearch", "kafka", "postgres"} <= set(ProvidersManagerTaskRuntime().hooks)
