"""The commands of the platform before it is started."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import typer
from typer.testing import CliRunner, Result

from vigie.cli import local
from vigie.errors import SettingsError, TransientError, VigieError
from vigie.local.check import Checked
from vigie.local.environments import write_overrides
from vigie.local.state import read_platform
from vigie.records import ServiceStatus
from vigie.settings import project_root

app = typer.Typer()
local.register(app)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_init_shows_the_generated_password_once() -> None:
    first, second = invoke("init"), invoke("init")
    made = read_platform(project_root())
    assert made is not None
    password = made.secrets["airflow_admin_password"]
    assert password in first.output
    assert password not in second.output
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_init_with_new_ports_shows_them() -> None:
    invoke("init")
    before = read_platform(project_root())
    shown = invoke("init", "--new-ports").output
    after = read_platform(project_root())
    assert before is not None
    assert after is not None
    assert before.ports != after.ports
    assert f"serving {after.ports['serving']}" in shown


def test_down_has_nothing_to_do() -> None:
    done = invoke("down")
    assert done.exit_code == 0
    assert "nothing to stop" in done.output


@pytest.mark.parametrize("command", [("status",), ("airflow", "dags", "list"), ("backup", "x")])
def test_a_command_that_needs_a_platform_names_the_next_command(command: tuple[str, ...]) -> None:
    error = invoke(*command).exception
    assert isinstance(error, SettingsError)
    assert "vigie up" in str(error)


def test_status_without_a_running_platform_lists_every_program() -> None:
    invoke("init")
    lines = invoke("status").output.splitlines()
    assert sum("stopped" in line for line in lines) == 7


def test_check_of_unavailable_services_takes_less_than_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_HOST", "127.0.0.1")
    monkeypatch.setenv("ELASTICSEARCH_PORT", "1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1,127.0.0.1:2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    begin = time.monotonic()
    done = invoke("check")
    assert time.monotonic() - begin < 5
    assert isinstance(done.exception, TransientError)
    assert done.exception.exit_code == 3
    message = "records, log index, stream, tracking, orchestration, serving"
    assert str(done.exception) == f"not available: {message}"


@contextmanager
def listening(*, drips: bool) -> Iterator[int]:
    """Accept connections and send nothing, or a byte of a response at a time; yield the port."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.3):
                connection.sendall(b" ")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        if drips:
            threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        over.set()
        server.shutdown(socket.SHUT_RDWR)


def same_port(port: int) -> dict[str, str]:
    """Return settings in which every service has the same port."""
    url = f"http://127.0.0.1:{port}"
    return {
        "VIGIE_DATABASE_URL": f"postgresql+psycopg2://me:CANARY@127.0.0.1:{port}/vigie",
        "ELASTICSEARCH_HOST": url,
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "MLFLOW_TRACKING_URI": url,
        "PROMETHEUS_PUSHGATEWAY_URL": f"http://me:CANARY@127.0.0.1:{port}",
        "GRADIO_URL": url,
        "AIRFLOW__API__BASE_URL": url,
    }


def test_check_uses_the_url_of_airflows_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container nothing listens at the base URL, which is for browsers."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8083")
    with listening(drips=False) as port:
        monkeypatch.setenv(
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"http://127.0.0.1:{port}/execution/"
        )
        done = invoke("check")
    (message,) = (line for line in done.output.splitlines() if line.startswith("orchestration: "))
    assert f"127.0.0.1:{port}" in message
    assert "8083" not in message


SERVICES = ("records", "log index", "stream", "tracking", "metrics", "orchestration", "serving")


@pytest.mark.parametrize("drips", [False, True])
def test_check_of_silent_or_slow_services_takes_less_than_five_seconds(
    monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    with listening(drips=drips) as port:
        for name, value in same_port(port).items():
            monkeypatch.setenv(name, value)
        begin = time.monotonic()
        done = invoke("check")
        assert time.monotonic() - begin < 5
        assert isinstance(done.exception, TransientError), done.exception
    assert done.exception.exit_code == 3
    assert str(done.exception) == f"not available: {', '.join(SERVICES)}"
    message = {line.partition(":")[0]: line for line in done.output.splitlines() if ": " in line}
    for role in SERVICES:
        assert f"127.0.0.1:{port}" in message[role] or f"port {port}" in message[role]
    if drips:
        assert f"metrics: no answer within 4 s from 127.0.0.1:{port}" in done.output
    assert "CANARY" not in done.output


def test_the_command_does_not_wait_for_a_slow_server() -> None:
    with listening(drips=True) as port:
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-Im", "vigie.cli.main", "check"],
            env=os.environ | same_port(port),
            capture_output=True,
            timeout=60,
            check=False,
        )
        took = time.monotonic() - begin
    assert done.returncode == 3, done.stderr
    assert took < 15  # includes the start of the process on a loaded machine


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROMETHEUS_PUSHGATEWAY_URL", "http://user:se/CANARY@gw:9091"),
        ("PROMETHEUS_PUSHGATEWAY_URL", "http://gw:CANARY"),
        ("MLFLOW_TRACKING_URI", "http://gw:CANARY"),
        ("GRADIO_URL", "http://gw:CANARY"),
        ("AIRFLOW__API__BASE_URL", "http://gw:CANARY"),
        ("ELASTICSEARCH_HOST", "es:CANARY"),
        ("VIGIE_DATABASE_URL", "postgresql://u:p@h:CANARY/db"),
    ],
)
def test_check_reports_an_invalid_url_by_its_variable_without_the_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = invoke("check")
    assert isinstance(done.exception, SettingsError)
    assert variable in done.output + str(done.exception)
    assert "CANARY" not in done.output + str(done.exception)


PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
KAFKA = {"conn_type": "kafka", "extra": '{"bootstrap.servers": "theirs:9092"}'}


@contextmanager
def airflow(*connections: Mapping[str, str]) -> Iterator[None]:
    """Create a platform of which only Airflow answers, with these Connections."""
    answers: dict[str, object] = {
        "/api/v2/monitor/health": {part: {"status": "healthy"} for part in PARTS},
        "/api/v2/version": {"version": "3.3.2"},
        "/auth/token": {"access_token": "token"},
        "/api/v2/connections": {"connections": connections},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path.partition("?")[0]]).encode())

        do_POST = do_GET  # noqa: N815  (the standard library's name)

        def log_message(self, *_: object) -> None: ...

    invoke("init")
    platform = read_platform(project_root())
    assert platform is not None
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = f"airflow = {platform.ports['airflow']}"
        text = platform.file.read_text(encoding="utf-8")
        platform.file.write_text(text.replace(port, f"airflow = {server.server_port}"))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize("connection_id", ["kafka_default", "not ours"])
def test_a_differing_connection_takes_precedence_over_unavailable_services(
    monkeypatch: pytest.MonkeyPatch, connection_id: str
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with airflow({**KAFKA, "connection_id": connection_id}):
        error = invoke("check").exception
    assert "not available: records, log index, stream" in str(error)
    assert "orchestration" not in str(error)
    is_ours = connection_id == "kafka_default"
    assert isinstance(error, SettingsError if is_ours else TransientError)
    message = "KAFKA_BOOTSTRAP_SERVERS: tasks take it from Connection kafka_default"
    assert (message in str(error)) == is_ours


def test_check_reports_a_connection_without_a_required_field() -> None:
    with airflow({"connection_id": "kafka_default", "conn_type": "kafka"}):
        error = invoke("check").exception
    assert isinstance(error, SettingsError)
    assert "Connection kafka_default has no bootstrap.servers" in str(error)


def test_check_reports_a_variable_that_is_not_a_connection() -> None:
    with airflow():
        platform = read_platform(project_root())
        assert platform is not None
        made = {"AIRFLOW_CONN_KAFKA_DEFAULT": "{CANARY", "AIRFLOW_CONN_OTHER": "{not ours"}
        write_overrides(platform, made)
        error = invoke("check").exception
    assert isinstance(error, SettingsError)
    assert "AIRFLOW_CONN_KAFKA_DEFAULT is not a Connection" in str(error)
    assert "CANARY" not in str(error)


def test_check_does_not_mention_connections_if_airflow_is_unavailable() -> None:
    invoke("init")
    error = invoke("check").exception
    assert isinstance(error, TransientError)
    assert "Connections" not in str(error)


def status(role: str, *, ok: bool, is_permanent: bool = False) -> ServiceStatus:
    return ServiceStatus(role, "", ok, f"of {role}", is_permanent=is_permanent)


@pytest.mark.parametrize(
    ("statuses", "compared", "error", "message"),
    [
        ([status("records", ok=True)], None, None, ""),
        ([], status("connections", ok=True), None, ""),
        ([], status("connections", ok=False), TransientError, "of connections"),
        (
            [status("stream", ok=False)],
            status("connections", ok=False),
            TransientError,
            "not available: stream; of connections",
        ),
        (
            [status("orchestration", ok=False)],
            status("connections", ok=False),
            TransientError,
            "not available: orchestration",
        ),
        (
            [status("stream", ok=False), status("serving", ok=False, is_permanent=True)],
            None,
            SettingsError,
            "not available: stream, serving",
        ),
    ],
)
def test_wrong_settings_take_precedence_over_unavailable_services(
    statuses: list[ServiceStatus],
    compared: ServiceStatus | None,
    error: type[VigieError] | None,
    message: str,
) -> None:
    problem = Checked(statuses, compared).problem()
    assert (type(problem) if problem else None) is error
    assert str(problem or "") == message


def test_check_prints_the_source_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLED", "false")
    rows = [line for line in invoke("check").output.splitlines() if line.startswith("tracking")]
    assert rows[0].split()[-1] == "environment"
    assert "off (null tracker)" in rows[0]


def test_check_never_shows_the_password_of_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg2://vigie:hunter2@127.0.0.1:1/vigie"
    monkeypatch.setenv("VIGIE_DATABASE_URL", url)
    done = invoke("check")
    assert "hunter2" not in done.output
    assert "start the server, or correct VIGIE_DATABASE_URL" in done.output
