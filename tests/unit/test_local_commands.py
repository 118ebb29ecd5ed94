"""The platform's commands where there is no platform yet."""

from __future__ import annotations

import time

import pytest
import typer
from typer.testing import CliRunner, Result

from vigie.cli import local
from vigie.errors import SettingsError, TransientError
from vigie.local.state import read_platform
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
def test_what_needs_a_platform_names_the_next_command(command: tuple[str, ...]) -> None:
    error = invoke(*command).exception
    assert isinstance(error, SettingsError)
    assert "vigie up" in str(error)


def test_status_of_a_platform_that_is_down_shows_every_program_as_stopped() -> None:
    invoke("init")
    lines = invoke("status").output.splitlines()
    assert sum("stopped" in line for line in lines) == 7


def test_check_of_what_is_down_takes_less_than_five_seconds(
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
    told = "records, log index, stream, tracking, orchestration, serving"
    assert str(done.exception) == f"not available: {told}"


def test_check_says_where_a_setting_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLED", "false")
    rows = [line for line in invoke("check").output.splitlines() if line.startswith("tracking")]
    assert rows[0].split()[-1] == "environment"
    assert "off (null tracker)" in rows[0]


def test_check_never_shows_the_password_of_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg2://vigie:hunter2@127.0.0.1:1/vigie"
    monkeypatch.setenv("VIGIE_DATABASE_URL", url)
    done = invoke("check")
    assert "hunter2" not in done.output
    assert "start that server, or correct VIGIE_DATABASE_URL" in done.output
