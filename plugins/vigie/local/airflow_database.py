"""Airflow's own tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version

from vigie.encoding import digest, write_atomic
from vigie.errors import TransientError
from vigie.local.state import Platform


def migrate_airflow(platform: Platform, environment: Mapping[str, str]) -> None:
    """Run ``airflow db migrate`` (8 s), once for each version of Airflow and each database."""
    stamp = platform.folder / "airflow" / "migrated"
    wanted = _state(platform, environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    if stamp.exists() and stamp.read_text() == wanted:
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
    write_atomic(stamp, wanted)


def _state(platform: Platform, url: str) -> str:
    """Identify what was migrated: the program, the server's folder, the database."""
    control = platform.postgres.folder / "global" / "pg_control"  # made once, by initdb
    made = control.stat().st_ino if control.exists() else 0
    return f"{version('apache-airflow-core')} {made} {digest(url)[:16]}\n"
