"""The login that MLflow's client and `vigie check` send; tests/service has a real server."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from vigie.adapters.tracking import login as mlflow_login
from vigie.adapters.tracking.errors import probe, refused, translated
from vigie.adapters.tracking.login import PATIENCE, VARIABLES, lent
from vigie.adapters.tracking.tracker import MlflowTracker
from vigie.errors import SettingsError, TransientError
from vigie.local import check_probes
from vigie.settings import MlflowSettings, known_variables
from vigie.testing.contracts import together

LOGIN = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "CANARY"}
NAMES = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def current() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def test_the_environments_login_is_away_while_another_one_or_none_is_lent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = {"MLFLOW_TRACKING_URI": "http://mine", "MLFLOW_TRACKING_TOKEN": "mine"}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    with lent("http://theirs", LOGIN):
        assert current() == {"MLFLOW_TRACKING_URI": "http://theirs", **LOGIN}
    with lent("http://theirs", {}):
        assert current() == {"MLFLOW_TRACKING_URI": "http://theirs"}
    with pytest.raises(ZeroDivisionError), lent("http://theirs", LOGIN):
        raise ZeroDivisionError
    assert current() == mine


def test_two_threads_do_not_take_each_others_login() -> None:
    def use(user: str) -> set[str]:
        seen = set()
        for _ in range(200):
            with lent("http://mlflow", {"MLFLOW_TRACKING_USERNAME": user}):
                seen.add(os.environ["MLFLOW_TRACKING_USERNAME"])
        return seen

    assert together([partial(use, "a"), partial(use, "b")]) == [{"a"}, {"b"}]
    assert current() == {}


def test_what_is_lent_are_settings_of_ours() -> None:
    assert set(VARIABLES) <= set(known_variables())


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_artifact_is_a_matter_of_settings(code: int) -> None:
    answer = requests.Response()
    answer.status_code = code
    with pytest.raises(SettingsError, match=NAMES), translated("http://mlflow"):
        answer.raise_for_status()


def test_a_name_that_the_server_does_not_know_is_no_matter_of_the_login() -> None:
    told = str(refused("http://mlflow", "403 Invalid Host header - possible DNS rebinding attack"))
    assert "--allowed-hosts" in told
    assert "PASSWORD" not in told


class LoginServer(ThreadingHTTPServer):
    daemon_threads = True
    logins: list[str | None]


@pytest.fixture
def server() -> Iterator[LoginServer]:
    """Answer as MLflow does, and note the header ``Authorization``; refuse who sends none."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = self.headers["Authorization"]
            server.logins.append(login)
            is_version = self.path == "/version"
            self.send_response(200 if login else 401)
            self.send_header("Content-Type", "text/html" if is_version else "application/json")
            self.end_headers()
            told = b"3.17.0" if is_version else b"{}"
            self.wfile.write(told if login else b"who?")

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


def test_check_names_the_variables_where_a_login_is_asked_for(server: LoginServer) -> None:
    uri = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(SettingsError, match=rf"{uri} refused us: 401 who\?; check {NAMES}"):
        check_probes.mlflow(MlflowSettings.model_validate({"MLFLOW_TRACKING_URI": uri}))


@pytest.mark.parametrize("token", ["clé", "CANARY\n"])
def test_check_names_the_variable_of_a_token_that_no_header_can_carry(token: str) -> None:
    given = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_TRACKING_TOKEN": token}
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_TOKEN") as caught:
        check_probes.mlflow(MlflowSettings.model_validate(given))
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["http://gw:CANARY", "http://", "http://me:CANARY/@gw", "http://a..CANARY", "http://[C"]
)
def test_a_job_fails_at_once_where_the_address_is_none(uri: str) -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI") as caught:
        probe(uri, timeout_s=1)
    assert "CANARY" not in str(caught.value)


def test_an_mlflow_that_takes_a_call_and_never_answers_is_left_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    assert short.keys() == PATIENCE.keys()
    monkeypatch.setattr(mlflow_login, "PATIENCE", short)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracker = MlflowTracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(TransientError, match="MLflow at http://127"):
            tracker.alias("model", "champion")
    assert time.monotonic() - began < 20  # the import of mlflow included


def test_the_patience_with_mlflow_is_the_user_s_where_it_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeout, retries = PATIENCE
    monkeypatch.setenv(timeout, "77")
    monkeypatch.delenv(retries, raising=False)
    with lent("http://theirs", {}), lent("http://theirs", {}):
        assert os.environ[timeout] == "77"
        assert os.environ[retries] == PATIENCE[retries]
    assert os.environ[timeout] == "77"
    assert retries not in os.environ
