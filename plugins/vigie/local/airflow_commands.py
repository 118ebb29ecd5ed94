"""Migrate Airflow's database, and run ``vigie airflow …``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

import psycopg2
from sqlalchemy.engine import make_url

from vigie.encoding import write_atomic
from vigie.errors import TransientError
from vigie.local.environments import program_environment, read_overrides, user_overrides
from vigie.local.state import Platform

# The identity of server and database, and whether Airflow's tables exist. A database that was
# dropped and created again has the same URL but must be migrated again.
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system()), oid,
       to_regclass('public.alembic_version') IS NOT NULL
FROM pg_database WHERE datname = current_database()
"""


def migrate_airflow(platform: Platform, environment: Mapping[str, str]) -> None:
    """Run ``airflow db migrate`` unless this version of Airflow has migrated the database."""
    stamp = platform.folder / "airflow" / "migrated"
    url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if stamp.exists() and stamp.read_text() == _migrated_state(url):
        return
    log = platform.folder / "logs" / "airflow-migrate.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "airflow", "db", "migrate"],
            cwd=platform.folder / "run",
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        raise TransientError(f"airflow db migrate failed; read {log}")
    write_atomic(stamp, _migrated_state(url))


def _migrated_state(url: str) -> str:
    """Return Airflow's version and the identity of the server and the database."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg2.connect(plain, connect_timeout=5)
    except psycopg2.Error as exc:
        reason = str(exc).strip().partition("\n")[0]
        raise TransientError(f"cannot log in to Airflow's database: {reason}") from exc
    try:
        with connection.cursor() as cursor:
            cursor.execute(_IDENTITY)
            found = cursor.fetchone()
    finally:
        connection.close()
    return f"{version('apache-airflow-core')} {found}\n"


def run_airflow(platform: Platform, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with ``airflow ARGUMENTS`` in the platform's environment.

    Raises
    ------
    TransientError
        If Airflow uses the embedded PostgreSQL and this server is not running.
    """
    overrides = read_overrides(platform)
    if overrides is None:
        overrides = user_overrides(platform.root)
    is_embedded = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in overrides
    if is_embedded and not platform.postgres.is_running():
        raise TransientError("Airflow's database is not running; run: vigie up")
    command = [sys.executable, "-I", "-m", "airflow", *arguments]
    os.execve(command[0], command, program_environment(platform, overrides, "airflow"))
