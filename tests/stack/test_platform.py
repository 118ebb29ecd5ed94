"""The complete local platform, started in a path with blanks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import psycopg2
import pytest
from playwright.sync_api import expect, sync_playwright

from support.ports import free_port
from vigie.demo.airflow_api import AirflowApi
from vigie.errors import SettingsError
from vigie.local.check import check_roles
from vigie.local.database import back_up, ensure_database
from vigie.local.lifecycle import bring_up, take_down
from vigie.local.postgres_binaries import program, run
from vigie.local.processes import platform_processes
from vigie.local.state import Platform, make_platform
from vigie.local.supervision import Supervisor, status_rows
from vigie.settings import Settings, known_variables

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
pytestmark = pytest.mark.timeout(400)


def echo(_: str) -> None:
    """Ignore a message."""


def make_clone(root: Path) -> Platform:
    root.mkdir(parents=True)
    for name in ("airflow", "init-db.sql", "models", "plugins"):
        (root / name).symlink_to(ROOT / name)
    return make_platform(root)[0]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Start a platform with two concurrent commands; stop it at the end."""
    platform = make_clone(tmp_path_factory.mktemp("up") / "my clone ; 100 %")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        for variable in known_variables():
            patch.delenv(variable, raising=False)
        patch.setenv("VIGIE_HOME", str(platform.root))
        try:
            for job in [threads.submit(bring_up, platform, echo=echo) for _ in range(2)]:
                job.result()
            yield platform
        finally:
            begin = time.monotonic()
            take_down(platform, echo=echo)
    assert time.monotonic() - begin < 20
    assert platform_processes(platform) == []
    assert not platform.sockets.exists()
    assert not platform.postgres.sockets.exists()


def pids(platform: Platform) -> dict[str, int | None]:
    return {name: state.pid for name, state in Supervisor(platform).states().items()}


def ask(platform: Platform, question: Callable[[psutil.Process], T]) -> list[T]:
    """Call a function for every process of a platform; skip processes that end meanwhile."""
    answers = []
    for process in platform_processes(platform):
        with contextlib.suppress(psutil.NoSuchProcess):
            answers.append(question(process))
    return answers


def command_lines(platform: Platform) -> list[str]:
    return ask(platform, lambda process: " ".join(process.cmdline()))


def test_two_concurrent_ups_start_one_platform(running: Platform) -> None:
    commands = command_lines(running)
    assert sum("supervisor.supervisord" in command for command in commands) == 1
    assert sum("-D" in command and "postgres" in command for command in commands) == 1
    assert {row.state for row in status_rows(running)} == {"RUNNING"}


def test_a_second_up_changes_nothing(running: Platform) -> None:
    before = pids(running)
    bring_up(running, echo=echo)
    assert pids(running) == before


def test_only_the_loopback_interface_is_listened_on(running: Platform) -> None:
    found = {
        (connection.laddr.ip, connection.laddr.port)
        for connections in ask(running, lambda process: process.net_connections("inet"))
        for connection in connections
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    }
    assert found == {("127.0.0.1", port) for port in running.ports.values()}


def test_no_process_shows_a_secret_on_its_command_line(running: Platform) -> None:
    shown = " ".join(command_lines(running))
    assert not [name for name, secret in running.secrets.items() if secret in shown]


def test_no_log_contains_a_secret(running: Platform) -> None:
    logs = "".join(p.read_text(errors="replace") for p in (running.folder / "logs").glob("*.log"))
    assert not [name for name, secret in running.secrets.items() if secret in logs]


def test_every_descendant_of_the_supervisor_is_found_by_its_mark(running: Platform) -> None:
    family = {c for below in ask(running, lambda p: p.children(recursive=True)) for c in below}
    marked = set(platform_processes(running))
    alive = {p for p in family - marked if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}
    assert {p for p in alive if p not in platform_processes(running)} == set()


def test_check_finds_every_role_in_order(
    running: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(running.root))
    statuses = check_roles(Settings.from_env()).statuses
    assert [(s.role, s.detail) for s in statuses if not s.ok] == []
    assert {s.role for s in statuses} >= {"records", "log index", "stream", "tracking", "serving"}


def test_airflow_accepts_the_generated_password_only(running: Platform) -> None:
    def login(password: str) -> int:
        body = {"username": "admin", "password": password}
        return httpx.post(f"{running.url('airflow')}/auth/token", json=body).status_code

    assert login(running.secrets["airflow_admin_password"]) == 201
    assert login("admin") == 401


def test_a_crashed_program_is_restarted(running: Platform) -> None:
    before = pids(running)["airflow-triggerer"]
    os.kill(before or 0, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        state = Supervisor(running).states()["airflow-triggerer"]
        if state.state == "RUNNING" and state.pid != before:
            break
        time.sleep(0.2)
    assert state.state == "RUNNING"
    assert state.pid != before


def test_a_single_command_starts_only_the_database_and_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make_clone(tmp_path / "a clone")
    monkeypatch.setenv("VIGIE_HOME", str(platform.root))
    messages: list[str] = []
    settings = ensure_database(Settings.from_env(), echo=messages.append)
    again = ensure_database(Settings.from_env(), echo=messages.append)
    try:
        assert settings.database.url is not None
        plain = settings.database.url.get_secret_value().replace("+psycopg2", "")
        psycopg2.connect(plain).close()
        assert [row.name for row in status_rows(platform) if row.state != "STOPPED"] == ["postgres"]
        assert again.database == settings.database
        assert messages == ["Started the embedded PostgreSQL; it runs until: vigie down"]
    finally:
        take_down(platform, echo=echo)
    assert platform_processes(platform) == []


def test_a_backup_of_a_running_platform_can_be_read(running: Platform, tmp_path: Path) -> None:
    dumps = back_up(running, tmp_path / "a backup")
    assert [dump.name for dump in dumps] == ["airflow.dump", "mlflow.dump", "vigie.dump"]
    assert "TABLE DATA public dag_run" in run([program("pg_restore"), "--list", str(dumps[0])])


def test_down_ends_the_processes_of_a_killed_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make_clone(tmp_path / "a clone")
    monkeypatch.setenv("VIGIE_HOME", str(platform.root))
    ensure_database(Settings.from_env(), echo=echo)
    supervisors = [process for process in platform_processes(platform) if is_supervisor(process)]
    assert len(supervisors) == 1
    supervisors[0].kill()
    psutil.wait_procs(supervisors, timeout=5)
    assert platform.postgres.is_running()
    assert take_down(platform, echo=echo) > 0
    assert platform_processes(platform) == []


def is_supervisor(process: psutil.Process) -> bool:
    try:
        return "supervisor.supervisord" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a PostgreSQL backend that has ended
        return False


def test_a_port_in_use_is_reported_with_its_process(tmp_path: Path) -> None:
    platform = make_clone(tmp_path / "a clone")
    # The system chooses the ports: tests of other processes probe the default ones.
    ports = {name: free_port() for name in platform.ports}
    platform = replace(platform, ports=ports)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["mlflow"]))
        taken.listen()
        message = rf"port {ports['mlflow']} of mlflow is used by process {os.getpid()}"
        with pytest.raises(SettingsError, match=message) as caught:
            bring_up(platform, echo=echo)
    assert caught.value.exit_code == 2
    assert "vigie init --new-ports" in str(caught.value)
    assert platform_processes(platform) == []


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Disable updates and telemetry of the browser.
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def browser_path() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    return found


def test_every_trigger_form_of_the_ui_can_be_submitted_unchanged(
    running: Platform, browser_path: str
) -> None:
    """Log in, open each form, and submit one with a changed Param."""
    url, login = running.url("airflow"), running.secrets["airflow_admin_password"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=BROWSER_FLAGS)
        page = browser.new_page()
        page.goto(url)
        page.fill('input[name="username"]', "admin")
        page.fill('input[name="password"]', login)
        page.click("button[type=submit]")
        page.wait_for_url(re.compile(r"/(dags|home)?$"))
        for dag_id in sorted(path.stem for path in (ROOT / "airflow" / "dags").glob("*.py")):
            page.goto(f"{url}/dags/{dag_id}")
            page.get_by_role("button", name="Trigger").first.click()
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("button", name="Trigger")).to_be_enabled(timeout=20_000)
        page.goto(f"{url}/dags/logs_to_elasticsearch")
        page.get_by_role("button", name="Trigger").first.click()
        dialog = page.get_by_role("dialog")
        dialog.locator('input[name="element_limit"]').fill("7")
        dialog.get_by_role("button", name="Trigger").click()
        page.wait_for_url(re.compile("/runs/manual__"), timeout=20_000)
        browser.close()
    with AirflowApi(url, "admin", login) as airflow:
        run = airflow.runs("logs_to_elasticsearch")[0]
        assert airflow.conf(run)["limit"] == 7
