"""The login that MLflow's client and `vigie check` send; tests/service has a real server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from vigie.adapters.mlflow_errors import refused, translated
from vigie.adapters.mlflow_login import VARIABLES, lent
from vigie.errors import SettingsError
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


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Answer what the header ``Authorization`` was; refuse who sends none."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = self.headers["Authorization"]
            self.send_response(200 if login else 401)
            self.end_headers()
            self.wfile.write((login or "who?").encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
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
def test_check_sends_the_login(
    server: ThreadingHTTPServer, login: dict[str, str], sent: str
) -> None:
    uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.server_port}/"}
    assert check_probes.mlflow(MlflowSettings.model_validate(uri | login)) == f"MLflow {sent}"


def test_check_names_the_variables_where_a_login_is_asked_for(server: ThreadingHTTPServer) -> None:
    uri = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(SettingsError, match=rf"{uri} refused us: 401 who\?; check {NAMES}"):
        check_probes.mlflow(MlflowSettings.model_validate({"MLFLOW_TRACKING_URI": uri}))
