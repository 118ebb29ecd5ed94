"""Migrations create the declared schema, also when several processes run them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from vigie.adapters.postgres import open_engine
from vigie.adapters.postgres.migrate import is_current, upgrade
from vigie.adapters.postgres.schema import metadata
from vigie.errors import SettingsError, TransientError
from vigie.local.postgres import EmbeddedPostgres
from vigie.testing.contracts import together


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a database without tables; its name contains blanks and a percent sign."""
    name = f"empty 100% {secrets.token_hex(4)}"
    admin = open_engine(postgres.url("postgres"), pool_size=0)
    autocommit = admin.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    yield sa.make_url(postgres.url("postgres")).set(database=name).render_as_string(False)
    with autocommit.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def test_migrations_give_the_declared_schema(empty_url: str) -> None:
    upgrade(empty_url)
    with open_engine(empty_url, pool_size=0).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_upgrading_again_keeps_the_rows(empty_url: str) -> None:
    upgrade(empty_url)
    engine = open_engine(empty_url, pool_size=0)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE counters SET next = 7 WHERE name = 'predictions'"))
    upgrade(empty_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT next FROM counters")) == 7


def test_concurrent_upgrades_succeed(empty_url: str) -> None:
    assert together([lambda: upgrade(empty_url)] * 4) == [None] * 4


def test_is_current_compares_the_revision(empty_url: str) -> None:
    engine = open_engine(empty_url, pool_size=0)
    assert not is_current(engine)
    upgrade(empty_url)
    assert is_current(engine)


def test_a_database_of_a_newer_vigie_is_refused(empty_url: str) -> None:
    upgrade(empty_url)
    with open_engine(empty_url, pool_size=0).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer"):
        upgrade(empty_url)


def test_a_server_that_is_down_is_transient() -> None:
    with pytest.raises(TransientError):
        upgrade("postgresql://vigie@127.0.0.1:1/vigie")
