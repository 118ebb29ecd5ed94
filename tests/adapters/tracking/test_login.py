"""The login that MLflow's client and `vigie check` send."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from vigie.adapters.tracking import tracker as mlflow_tracker
from vigie.adapters.tracking.errors import probe, refused, translated
from vigie.adapters.tracking.tracker import (
    LOGIN_VARIABLES,
    TIMEOUTS,
    MlflowTracker,
    client_environment,
)
from vigie.errors import SettingsError, TransientError
from vigie.local import check_probes
from vigie.settings import MlflowSettings, known_variables
from vigie.testing.contracts import together

LOGIN = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "CANARY"}
NAMES = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def current() -> dict[str, str]:
    return {name: os.environ[name] for name in LOGIN_VARIABLES if name in os.environ}


def test_the_users_login_is_unset_during_a_call_and_restored_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = {"MLFLOW_TRACKING_URI": "http://mine", "MLFLOW_TRACKING_TOKEN": "mine"}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    with client_environment("http://theirs", LOGIN):
        assert current() == {"MLFLOW_TRACKING_URI": "http://theirs", **LOGIN}
    with client_environment("http://theirs", {}):
        assert current() == {"MLFLOW_TRACKING_URI": "http://theirs"}
    with pytest.raises(ZeroDivisionError), client_environment("http://theirs", LOGIN):
        raise ZeroDivisionError
    assert current() == mine


def test_concurrent_calls_use_their_own_login() -> None:
    def use(user: str) -> set[str]:
        seen = set()
        for _ in range(200):
            with client_environment("http://mlflow", {"MLFLOW_TRACKING_USERNAME": user}):
                seen.add(os.environ["MLFLOW_TRACKING_USERNAME"])
        return seen

    assert together([partial(use, "a"), partial(use, "b")]) == [{"a"}, {"b"}]
    assert current() == {}


def test_login_variables_are_settings() -> None:
    assert set(LOGIN_VARIABLES) <= set(known_variables())


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_artifact_is_a_settings_error(code: int) -> None:
    answer = requests.Response()
    answer.status_code = code
    with pytest.raises(SettingsError, match=NAMES), translated("http://mlflow"):
        answer.raise_for_status()


def test_an_unknown_host_name_is_not_reported_as_a_login_error() -> None:
    message = str(
        refused("http://mlflow", "403 Invalid Host header - possible DNS rebinding attack")
    )
    assert "--allowed-hosts" in message
    assert "PASSWORD" not in message


class LoginServer(ThreadingHTTPServer):
    daemon_threads = True
    logins: list[str | None]


@pytest.fixture
def server() -> Iterator[LoginServer]:
    """Respond like MLflow and record the ``Authorization`` header; deny requests without one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = self.headers["Authorization"]
            server.logins.append(login)
            is_version = self.path == "/version"
            self.send_response(200 if login else 401)
            self.send_header("Content-Type", "text/html" if is_version else "application/json")
            self.end_headers()
            body = b"3.17.0" if is_version else b"{}"
            self.wfile.write(body if login else b"who?")

        def log_message(self, *_: object) -> None: ...

    server = LoginServer(("127.0.0.1", 0), Handler)
    server.logins = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("login", "sent"),
    [(LOGIN, "Basic bWU6Q0FOQVJZ"), ({"MLFLOW_TRACKING_TOKEN": "CANARY"}, "Bearer CANARY")],
)
def test_check_sends_the_login(server: LoginServer, login: dict[str, str], sent: str) -> None:
    uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.server_port}/"}
    assert check_probes.mlflow(MlflowSettings.model_validate(uri | login)) == "MLflow 3.17.0"
    assert server.logins == [sent, sent]


def test_check_names_the_login_variables_when_the_server_denies_access(server: LoginServer) -> None:
    uri = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(SettingsError, match=rf"{uri} denied access: 401 who\?; check {NAMES}"):
        check_probes.mlflow(MlflowSettings.model_validate({"MLFLOW_TRACKING_URI": uri}))


@pytest.mark.parametrize("token", ["clé", "CANARY\n"])
def test_check_names_the_variable_of_a_token_that_is_invalid_in_a_header(token: str) -> None:
    given = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_TRACKING_TOKEN": token}
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_TOKEN") as caught:
        check_probes.mlflow(MlflowSettings.model_validate(given))
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["http://gw:CANARY", "http://", "http://me:CANARY/@gw", "http://a..CANARY", "http://[C"]
)
def test_an_invalid_address_is_refused_before_a_connection(uri: str) -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI") as caught:
        probe(uri, timeout_s=1)
    assert "CANARY" not in str(caught.value)


def test_a_server_that_accepts_a_call_and_never_answers_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    assert short.keys() == TIMEOUTS.keys()
    monkeypatch.setattr(mlflow_tracker, "TIMEOUTS", short)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracker = MlflowTracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TransientError, match="MLflow at http://127"):
            tracker.alias("model", "champion")


def test_timeouts_of_the_user_take_precedence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeout, retries = TIMEOUTS
    monkeypatch.setenv(timeout, "77")
    monkeypatch.delenv(retries, raising=False)
    with client_environment("http://theirs", {}), client_environment("http://theirs", {}):
        assert os.environ[timeout] == "77"
        assert os.environ[retries] == TIMEOUTS[retries]
    assert os.environ[timeout] == "77"
    assert retries not in os.environ
