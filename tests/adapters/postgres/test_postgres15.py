"""The contracts of the stores, the log index and the stream on the system's PostgreSQL."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from servers.bring_up import SERVERS, bring_up, take_down
from servers.debian import find_postgres
from servers.state import read_site
from vigie.adapters import postgres as sql
from vigie.adapters.postgres.index import PgIndex
from vigie.adapters.postgres.migrate import upgrade
from vigie.adapters.postgres.stream import PgStream
from vigie.roles import LogIndex
from vigie.testing import Clock
from vigie.testing.contracts import (
    deployments,
    index,
    index_values,
    labels,
    ledger,
    locks,
    predictions,
    stream,
    stream_faults,
    stream_groups,
)
from vigie.testing.contracts.record_stores import Records
from vigie.testing.contracts.stream import StreamSubject

RECORDS = [
    *predictions.CHECKS,
    *labels.CHECKS,
    *deployments.CHECKS,
    *ledger.LEDGER_CHECKS,
    *ledger.STATE_CHECKS,
    *locks.CHECKS,
]
INDEX = [*index.CHECKS, *index_values.CHECKS]
STREAM = [*stream.CHECKS, *stream_groups.CHECKS, *stream_faults.CHECKS]


def fact(check: Callable[..., None]) -> str:
    return f"{check.__module__.rpartition('.')[2]}-{check.__name__}"


@pytest.fixture(scope="session")
def server(postgres15_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres15_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def execute(server: sa.Engine, statement: str) -> None:
    with server.connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture(scope="session")
def template(server: sa.Engine) -> Iterator[str]:
    """Return a migrated database of this session."""
    name = f"template_{secrets.token_hex(6)}"
    execute(server, f"CREATE DATABASE {name}")
    upgrade(server.url.set(database=name).render_as_string(hide_password=False))
    yield name
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(server: sa.Engine, template: str) -> Iterator[sa.Engine]:
    """Return an engine for a new copy of the migrated database."""
    name = f"t_{secrets.token_hex(6)}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    engine = sql.open_engine(server.url.set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def test_the_server_is_not_the_embedded_one(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
    assert 150_000 <= int(version) < 180_000


@pytest.mark.parametrize("check", RECORDS, ids=fact)
def test_records(check: Callable[[Records], None], engine: sa.Engine) -> None:
    clock = Clock()
    check(
        Records(
            sql.SqlPredictions(engine),
            sql.SqlLabels(engine, clock),
            sql.SqlDeployments(engine, clock),
            sql.SqlLedger(engine, clock),
            sql.SqlState(engine),
            sql.SqlLocks(engine),
            clock,
        )
    )


@pytest.mark.parametrize("check", INDEX, ids=fact)
def test_index(check: Callable[[LogIndex], None], engine: sa.Engine) -> None:
    check(PgIndex(engine))


@pytest.mark.parametrize("check", STREAM, ids=fact)
def test_stream(check: Callable[[StreamSubject], None], engine: sa.Engine) -> None:
    subject = PgStream(engine)

    def expel(group: str, topic: str) -> None:
        """End every session that owns a partition."""
        query = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with engine.begin() as connection:
            connection.execute(sa.text(query))

    check(StreamSubject(subject, PgIndex(engine), expel, subject.trim))


ROLES = ("airflow", "mlflow", "vigie")


@pytest.fixture(scope="module")
def fresh_server(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Engine]:
    """Return a separate server, because the script creates roles and databases of fixed names."""
    require_service("postgres")
    root = tmp_path_factory.mktemp("postgres15")
    postgres = SERVERS["postgres"]
    (outcome,) = bring_up(root, [postgres], print, install=False)
    assert outcome.version, outcome.note
    engine = sa.create_engine(read_site(root).urls["postgres"], isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()
    take_down(root, [postgres], print)


def psql(server: sa.Engine, script: Path, passwords: dict[str, str]) -> None:
    """Run a script with the server's own ``psql``."""
    url = server.url
    login = {"PGHOST": url.host, "PGPORT": str(url.port), "PGUSER": url.username}
    secret = {f"{name.upper()}_DB_PASSWORD": word for name, word in passwords.items()}
    program = find_postgres("psql") or shutil.which("psql")
    assert program is not None
    quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f", str(script)]
    environment = os.environ | login | secret | {"PGPASSWORD": str(url.password)}
    subprocess.run([program, *quiet], env=environment, check=True, capture_output=True)


def may_enter(server: sa.Engine, role: str, password: str, database: str) -> bool:
    url = server.url.set(username=role, password=password, database=database)
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT 1").scalar_one())
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


def test_init_db_creates_roles_and_databases_and_changes_passwords(
    fresh_server: sa.Engine, project_root: Path
) -> None:
    first = {name: f"first {name} '\"\\$" for name in ROLES}
    second = {name: f"second-{name}" for name in ROLES}
    psql(fresh_server, project_root / "init-db.sql", first)
    assert all(may_enter(fresh_server, name, first[name], name) for name in ROLES)
    assert not may_enter(fresh_server, "mlflow", first["mlflow"], "vigie")
    psql(fresh_server, project_root / "init-db.sql", second)
    assert all(may_enter(fresh_server, name, second[name], name) for name in ROLES)
    assert not any(may_enter(fresh_server, name, first[name], name) for name in ROLES)


def test_migrations_run_as_the_role_of_init_db(fresh_server: sa.Engine, project_root: Path) -> None:
    passwords = {name: secrets.token_hex(8) for name in ROLES}
    psql(fresh_server, project_root / "init-db.sql", passwords)
    mine = fresh_server.url.set(username="vigie", password=passwords["vigie"], database="vigie")
    upgrade(mine.render_as_string(hide_password=False))
    engine = sql.open_engine(mine.render_as_string(hide_password=False))
    sql.SqlState(engine).put("key", {"a": 1})
    assert sql.SqlState(engine).get("key") == {"a": 1}
    engine.dispose()
