"""Probes accept the response of the expected service only."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url

from support.answering import Answer, answering
from vigie.errors import SettingsError, TransientError
from vigie.local import check_probes
from vigie.local.check import call_in_parallel
from vigie.local.check_probes import elasticsearch
from vigie.local.probes import get, probe_airflow, wait_for
from vigie.local.programs import SERVING
from vigie.local.state import make_platform
from vigie.local.supervision import Supervisor
from vigie.settings import ElasticsearchSettings, MlflowSettings

if TYPE_CHECKING:
    from vigie.local.postgres import EmbeddedPostgres

PAGE = "<!doctype html><title>CANARY</title>"


def with_body(body: str, kind: str = "application/json") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def ask_elasticsearch(url: str) -> str:
    return elasticsearch(ElasticsearchSettings.model_validate({"ELASTICSEARCH_HOST": url}))


def ask_mlflow(url: str) -> str:
    return check_probes.mlflow(MlflowSettings.model_validate({"MLFLOW_TRACKING_URI": url}))


OTHER_JSON = ["[]", "{}", "null", "1", '"CANARY"', '{"status": []}']


def test_another_process_on_the_port_is_not_taken_for_serving(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        platform, _ = make_platform(tmp_path)
        platform = replace(platform, ports={**platform.ports, "serving": port})
        with pytest.raises(SettingsError, match=rf"port {port} of serving is used by process \d+"):
            wait_for(lambda: None, Supervisor(platform), (SERVING,), timeout_s=1)


def ask_airflow(url: str) -> str:
    return check_probes.airflow(url, "AIRFLOW__API__BASE_URL")


@pytest.mark.parametrize("body", OTHER_JSON)
@pytest.mark.parametrize("ask", [ask_elasticsearch, ask_mlflow, ask_airflow, check_probes.serving])
def test_other_json_is_refused(ask: Callable[[str], str], body: str) -> None:
    with answering(with_body(body)) as url, pytest.raises(SettingsError, match=url) as caught:
        ask(url)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (ask_elasticsearch, "Elasticsearch"),
        (ask_mlflow, "MLflow"),
        (ask_airflow, "Airflow"),
        (check_probes.serving, "a Gradio app"),
    ],
)
def test_the_error_for_html_names_the_expected_service(
    ask: Callable[[str], str], name: str
) -> None:
    with answering(with_body(PAGE, "text/html")) as url, pytest.raises(SettingsError) as caught:
        ask(url)
    assert f"the server at {url} is not {name}" in str(caught.value)


@pytest.mark.parametrize("nodes", ["[]", "null", '{"nodes": [1]}'])
def test_nodes_of_an_unexpected_shape_are_refused(nodes: str) -> None:
    health = '{"cluster_name": "c", "status": "green", "nodes": 1}'
    with (
        answering(with_body(health)) as url,
        pytest.raises(SettingsError, match="not Elasticsearch"),
    ):
        ask_elasticsearch(url)


@pytest.mark.parametrize("body", ["", '{"metadatabase": '])
def test_truncated_json_is_transient(body: str) -> None:
    with (
        answering(with_body(body)) as url,
        pytest.raises(TransientError, match=f"{url}.* malformed JSON"),
    ):
        probe_airflow(url)


@pytest.mark.parametrize("url", ["http://gw:CANARY", "http://[CANARY", "gw:9091", "http://"])
def test_an_invalid_url_is_reported_by_its_variable_only(url: str) -> None:
    with pytest.raises(SettingsError, match="THE_VARIABLE must be http://host:port") as caught:
        get(url, variable="THE_VARIABLE")
    assert "CANARY" not in str(caught.value)


def test_an_api_key_that_is_not_ascii_is_refused_without_its_value() -> None:
    given = {"ELASTICSEARCH_HOST": "127.0.0.1:1", "ELASTICSEARCH_API_KEY": "clé"}
    with pytest.raises(SettingsError, match="ELASTICSEARCH_API_KEY") as caught:
        elasticsearch(ElasticsearchSettings.model_validate(given))
    assert "clé" not in str(caught.value)


@pytest.mark.parametrize("host", ["es:92OO", "::1", "es..example", "e\x01s"])
def test_an_invalid_elasticsearch_host_is_a_settings_error(host: str) -> None:
    with pytest.raises(SettingsError, match="ELASTICSEARCH_HOST must be"):
        ask_elasticsearch(host)


def test_a_wrong_password_or_database_is_a_settings_error(postgres: EmbeddedPostgres) -> None:
    right = make_url(postgres.url("postgres"))
    for wrong in (right.set(password="CANARY"), right.set(database="nowhere")):
        with pytest.raises(SettingsError, match="VIGIE_DATABASE_URL") as caught:
            check_probes.postgres(wrong.render_as_string(hide_password=False))
        assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["CANARY", "postgresql://u:p@h:CANARY/db", "postgresql://u:p@CANARY@h/db"]
)
def test_an_invalid_database_url_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="VIGIE_DATABASE_URL") as caught:
        check_probes.postgres(url)
    assert "CANARY" not in str(caught.value)


def test_a_database_that_is_down_is_transient() -> None:
    with pytest.raises(TransientError, match="port 1 failed"):
        check_probes.postgres("postgresql+psycopg2://u:p@127.0.0.1:1/db")


def test_a_folder_that_cannot_exist_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        check_probes.folder(tmp_path / ("long" * 100))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://user:p@sSECRET@gw:9091/base", "gw:9091"),
        ("postgresql+psycopg2://u:p/w@db:5432/vigie?sslmode=require", "db:5432"),
        ("https://mlflow.example.org", "mlflow.example.org"),
        ("http://gw:port", "its address"),
        ("", "its address"),
    ],
)
def test_a_place_is_host_and_port_only(url: str, place: str) -> None:
    assert check_probes.place(url) == place


def test_an_exception_of_a_parallel_call_is_raised() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call_in_parallel([lambda: 1, fail], timeout_s=5)
