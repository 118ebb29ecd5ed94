"""``init-db.sql`` creates three roles, each with its own database."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from vigie.local.postgres import EmbeddedPostgres
from vigie.local.postgres_binaries import program

NAMES = ("airflow", "mlflow", "vigie")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Return a separate server, because roles belong to all databases of a server."""
    folder = tmp_path_factory.mktemp("init db") / "data"
    server = EmbeddedPostgres(folder, secrets.token_hex(8), durable=False)
    server.start()
    yield server
    server.stop()


def _psql(
    server: EmbeddedPostgres, script: Path, passwords: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    login = {"PGHOST": str(server.sockets), "PGUSER": "postgres", "PGPASSWORD": server.password}
    command = [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    secret = {f"{name.upper()}_DB_PASSWORD": value for name, value in passwords.items()}
    return subprocess.run(
        [*command, "-f", str(script)],
        env=os.environ | login | secret,
        capture_output=True,
        text=True,
        check=False,
    )


def _connect(server: EmbeddedPostgres, database: str, user: str, password: str) -> None:
    psycopg2.connect(
        host=str(server.sockets), dbname=database, user=user, password=password
    ).close()


def test_each_role_owns_its_database_and_reaches_no_other(
    server: EmbeddedPostgres, project_root: Path
) -> None:
    passwords = {name: f'it\'s "{name}" $1 \\ 100%' for name in NAMES}
    for _ in range(2):  # A second call must not fail.
        done = _psql(server, project_root / "init-db.sql", passwords)
        assert (done.returncode, done.stderr) == (0, "")
    for name in NAMES:
        _connect(server, name, name, passwords[name])
        for other in set(NAMES) - {name}:
            with pytest.raises(psycopg2.OperationalError, match="permission denied"):
                _connect(server, other, name, passwords[name])


def test_running_it_again_sets_the_new_passwords(
    server: EmbeddedPostgres, project_root: Path
) -> None:
    for version in ("old", "new"):
        passwords = {name: f"{name}-{version}" for name in NAMES}
        assert _psql(server, project_root / "init-db.sql", passwords).returncode == 0
    _connect(server, "vigie", "vigie", "vigie-new")
    with pytest.raises(psycopg2.OperationalError, match="password"):
        _connect(server, "vigie", "vigie", "vigie-old")


@pytest.mark.parametrize("missing", NAMES)
def test_a_missing_password_is_named(
    server: EmbeddedPostgres, project_root: Path, missing: str
) -> None:
    passwords = {name: "p" for name in NAMES if name != missing}
    done = _psql(server, project_root / "init-db.sql", passwords)
    assert done.returncode != 0
    assert f"{missing.upper()}_DB_PASSWORD" in done.stderr
