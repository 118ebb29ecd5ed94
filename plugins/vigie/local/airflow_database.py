"""Airflow's own tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version

import psycopg2
from sqlalchemy.engine import make_url

from vigie.encoding import write_atomic
from vigie.errors import TransientError
from vigie.local.state import Platform

# Which server's which database this is, and whether Airflow has been here: a database that was
# made again under the same address is another one.
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system()), oid,
       to_regclass('public.alembic_version') IS NOT NULL
FROM pg_database WHERE datname = current_database()
"""


def migrate_airflow(platform: Platform, environment: Mapping[str, str]) -> None:
    """Run ``airflow db migrate`` (8 s), once for each version of Airflow and each database."""
    stamp = platform.folder / "airflow" / "migrated"
    url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if stamp.exists() and stamp.read_text() == _state(url):
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
    write_atomic(stamp, _state(url))


def _state(url: str) -> str:
    """Identify what was migrated: the program, the server, the database."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg2.connect(plain, connect_timeout=5)
    except psycopg2.Error as exc:
        reason = str(exc).strip().partition("\n")[0]
        raise TransientError(f"Airflow's database did not let us in: {reason}") from exc
    try:
        with connection.cursor() as cursor:
            cursor.execute(_IDENTITY)
            found = cursor.fetchone()
    finally:
        connection.close()
    return f"{version('apache-airflow-core')} {found}\n"
