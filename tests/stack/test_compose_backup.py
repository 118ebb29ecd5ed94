"""Run the documented backup and password change on a PostgreSQL set up as in the image."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from servers.debian import find_postgres
from vigie.errors import SettingsError
from vigie.local.postgres_binaries import run, unprivileged

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compose.md").read_text()
pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]


def block(heading: str) -> str:
    """Return the first shell block of a section."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


class Container:
    """The service ``postgres`` without Docker: data as in the image, and a shell."""

    def __init__(self, home: Path, environment: dict[str, str], programs: Path) -> None:
        self.home, self.sockets = home, home / "sockets"
        inside = environment | {"PGHOST": str(self.sockets)}
        exports = "".join(f"export {name}='{value}'\n" for name, value in inside.items())
        docker = home / "docker"
        docker.write_text(
            '#!/bin/sh\nwhile [ "$1" != postgres ]; do shift; done\nshift\n'
            f'{exports}PATH="{programs}:$PATH" exec "$@"\n'
        )
        docker.chmod(0o755)

    def shell(self, script: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script of the page without a terminal."""
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=self.home,
            env={"PATH": f"{self.home}:{os.environ['PATH']}"},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            timeout=60,
        )


@pytest.fixture(scope="module")
def container(
    tmp_path_factory: pytest.TempPathFactory, stack: dict[str, Any]
) -> Iterator[Container]:
    postgres, initdb = find_postgres("postgres"), find_postgres("initdb")
    if postgres is None or initdb is None:
        pytest.skip("PostgreSQL 15 is not installed; run: apt-get install postgresql-15")
    try:
        unprivileged()
    except SettingsError as exc:
        pytest.skip(str(exc))
    service = stack["services"]["postgres"]
    environment = {name: str(value) for name, value in service["environment"].items()}
    home = tmp_path_factory.mktemp("pg")
    found = Container(home, environment, Path(postgres).parent)
    found.sockets.mkdir()
    (home / "secret").write_text(environment["POSTGRES_PASSWORD"])
    login = ["--username=postgres", f"--pwfile={home / 'secret'}"]
    options = environment["POSTGRES_INITDB_ARGS"].split()
    run([*unprivileged(), initdb, "-D", str(home / "data"), *login, *options, "--no-sync"])
    where = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={found.sockets}"]
    command = [*unprivileged(), postgres, "-D", str(home / "data"), *where, "-c", "fsync=off"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait(found, environment["POSTGRES_PASSWORD"], server)
        made = found.shell(
            'docker compose exec postgres sh -c \'PGPASSWORD="$POSTGRES_PASSWORD" '
            f"psql -U postgres --set ON_ERROR_STOP=1 --file {ROOT / 'init-db.sql'}'"
        )
        assert made.returncode == 0, made.stderr
        yield found
    finally:
        server.terminate()
        server.wait(30)


def connects(container: Container, user: str, password: str) -> bool:
    database = user if user != "postgres" else "template1"
    try:
        psycopg2.connect(
            host=str(container.sockets), user=user, password=password, dbname=database
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def wait(container: Container, password: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not connects(container, "postgres", password):
        assert server.poll() is None, (container.home / "log").read_text()
        assert time.monotonic() < deadline, (container.home / "log").read_text()
        time.sleep(0.2)


def test_the_backup_runs_without_a_terminal_and_can_be_listed(container: Container) -> None:
    done = container.shell(block("Backup"))
    assert done.returncode == 0, done.stderr
    for name in ("airflow", "mlflow", "vigie"):
        listed = run(
            [str(find_postgres("pg_restore")), "--list", str(container.home / f"{name}.dump")]
        )
        assert f"dbname: {name}" in listed


@pytest.mark.parametrize("role", ["vigie", "postgres"])
def test_the_documented_command_changes_a_password(
    container: Container, stack_secrets: dict[str, str], role: str
) -> None:
    old, new = (
        stack_secrets[f"{role.replace('vigie', 'vigie_db')}_PASSWORD".upper()],
        secrets.token_hex(8),
    )
    line_of_page = next(
        line for line in block("Changing a secret").splitlines() if "\\password" in line
    )
    script = line_of_page.replace("\\password vigie", f"\\password {role}")
    for given, expected in ((new, new), (old, old)):
        in_container = script
        if (
            given == old and role == "postgres"
        ):  # the container's environment has the new password now
            in_container = script.replace('"$POSTGRES_PASSWORD"', f'"{new}"')
        done = container.shell(in_container, f"{given}\n{given}\n")
        assert done.returncode == 0, done.stderr
        assert connects(container, role, expected)
        assert not connects(container, role, new if given == old else old)
