"""The Pushgateway adapter against a fake server; test_pushgateway_server.py uses a real one."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from support.answering import Answer, answering
from vigie import catalogue
from vigie.adapters.metrics.pushgateway import Pushgateway
from vigie.adapters.metrics.text_files import MetricsFiles
from vigie.errors import DataError, SettingsError, TransientError, VigieError
from vigie.local import check_probes
from vigie.monitoring.push_metrics import push_metrics
from vigie.records import Sample
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.wiring import open_services

SAMPLES = [Sample(catalogue.JOB_LAST_RUN, 1)]


def status(code: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "4")
        handler.send_header("Location", "http://192.0.2.1/")
        handler.end_headers()
        handler.wfile.write(b"why!")

    return answer


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (307, DataError),  # not followed: another host must not get the password
        (400, DataError),
        (401, SettingsError),
        (404, SettingsError),
        (408, TransientError),
        (413, DataError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_an_error_response_is_mapped_to_an_error(code: int, error: type[VigieError]) -> None:
    with answering(status(code)) as url:
        sink = Pushgateway(url)
        with pytest.raises(error, match=f"{code}: why!"):
            sink.push("dag", SAMPLES)
        with pytest.raises(error, match=f"{code}: why!"):
            sink.delete("dag")


def test_a_missing_response_raises_a_transient_error_in_time() -> None:
    asked, over = threading.Event(), threading.Event()

    def silent(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        over.wait(20)

    with answering(silent) as url:
        with pytest.raises(TransientError, match="ReadTimeout"):
            Pushgateway(url, timeout_s=0.2).push("dag", SAMPLES)
        assert asked.is_set()
        over.set()


def test_a_closed_connection_raises_a_transient_error() -> None:
    with (
        answering(lambda handler: handler.connection.close()) as url,
        pytest.raises(TransientError),
    ):
        Pushgateway(url).push("dag", SAMPLES)


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with answering(status(200)) as url:
        Pushgateway(url).push("dag", SAMPLES)


def test_user_and_password_of_the_url_are_sent_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        status(200)(handler)

    with answering(answer) as url:
        address = url.replace("://", "://user:s%40cret@")
        # The level of "httpx" is set too, because the import of Airflow raises this level.
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
            Pushgateway(address).push("dag", SAMPLES)
            check_probes.pushgateway(address)
    assert seen == ["Basic dXNlcjpzQGNyZXQ="] * 2
    assert url in caplog.text  # httpx logs each URL
    assert "cret" not in caplog.text


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("password", ["s%40cret", "s@cret"])
def test_check_names_the_variable_if_the_credentials_are_rejected(code: int, password: str) -> None:
    with answering(status(code)) as url, pytest.raises(SettingsError) as caught:
        check_probes.pushgateway(url.replace("://", f"://user:{password}@"))
    assert (
        str(caught.value)
        == f"{url} refused the login: {code} why!; check PROMETHEUS_PUSHGATEWAY_URL"
    )


def test_no_message_contains_the_password() -> None:
    with pytest.raises(TransientError) as caught:
        Pushgateway("user:secret@127.0.0.1:9").push("dag", SAMPLES)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("http://[", "http://host:CANARY", "http://", "ftp://host:1", "http://host:0"),
        *("http://a\x01CANARY:9091", "http://a..CANARY", "http://user:12/CANARY@host:9091"),
    ],
)
def test_an_invalid_url_raises_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="PROMETHEUS_PUSHGATEWAY_URL") as caught:
        Pushgateway(url)
    assert "CANARY" not in str(caught.value)
    with pytest.raises(SettingsError, match="PROMETHEUS_PUSHGATEWAY_URL"):
        check_probes.pushgateway(url)


def test_a_push_to_an_invalid_url_does_not_fail_the_run(services: FakeServices) -> None:
    settings = Settings.from_env({"PROMETHEUS_PUSHGATEWAY_URL": "http://gw\x01:9091"})
    with open_services(settings) as opened:
        opened.state = services.state
        result = push_metrics(opened, dag_id="dag", results=[], failed_tasks=0)
    assert (result.groups, result.failed_groups) == (0, 2)
    assert "PROMETHEUS_PUSHGATEWAY_URL" in result.problem


@pytest.mark.parametrize("mark", ["/", "?", "#"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_settings_reject_a_password_with_an_unescaped_separator(scheme: str, mark: str) -> None:
    url = f"{scheme}user:12{mark}CANARY@gateway:9091"
    with pytest.raises(SettingsError, match=r"PROMETHEUS_PUSHGATEWAY_URL.*%2F") as caught:
        Settings.from_env({"PROMETHEUS_PUSHGATEWAY_URL": url})
    assert "CANARY" not in str(caught.value)


def test_the_repr_of_settings_hides_the_credentials() -> None:
    url = "http://user:CANARY@gateway:9091/base"
    settings = Settings.from_env({"PROMETHEUS_PUSHGATEWAY_URL": url})
    assert settings.metrics.pushgateway_url == url
    assert "CANARY" not in repr(settings)


def test_check_rejects_a_server_that_is_not_a_pushgateway() -> None:
    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"<!doctype html><title>Something else</title>")

    with answering(page) as url, pytest.raises(SettingsError, match=f"{url} is not a Pushgateway"):
        check_probes.pushgateway(url.replace("://", "://user:p@ss@"))


def test_a_configured_url_selects_the_pushgateway(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_services(Settings.from_env()) as services:
        assert isinstance(services.metrics, MetricsFiles)
    monkeypatch.setenv("PROMETHEUS_PUSHGATEWAY_URL", "gateway:9091")
    with open_services(Settings.from_env()) as services:
        assert isinstance(services.metrics, Pushgateway)
