"""Commands start and migrate the database that they use."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from vigie.adapters.postgres import open_engine
from vigie.adapters.postgres.migrate import is_current
from vigie.cli.main import app
from vigie.errors import TransientError
from vigie.local.database import ensure_database, main
from vigie.local.postgres import EmbeddedPostgres
from vigie.settings import Settings


def silent(line: str) -> None:
    raise AssertionError(f"unexpected output: {line}")


@pytest.fixture
def named_url(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Set VIGIE_DATABASE_URL to an empty database and return the URL."""
    name = f"named_{secrets.token_hex(4)}"
    admin = open_engine(postgres.url("postgres"), pool_size=0)
    autocommit = admin.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    monkeypatch.setenv("VIGIE_DATABASE_URL", postgres.url(name))
    yield postgres.url(name)
    with autocommit.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_an_external_database_is_migrated_and_nothing_is_started(
    named_url: str, tmp_path: Path
) -> None:
    settings = Settings.from_env()
    assert ensure_database(settings, echo=silent) is settings
    assert is_current(open_engine(named_url, pool_size=0))
    assert list(tmp_path.iterdir()) == []


def test_init_migrates_an_external_database(named_url: str) -> None:
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 0, result.output
    assert "Migrated the database of VIGIE_DATABASE_URL" in result.output
    assert is_current(open_engine(named_url, pool_size=0))


def test_an_unavailable_external_database_is_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    monkeypatch.setenv("VIGIE_DATABASE_URL", "postgresql+psycopg2://u:p@127.0.0.1:1/db")
    with pytest.raises(TransientError):
        ensure_database(Settings.from_env(), echo=silent)
    assert list(tmp_path.iterdir()) == []


def test_a_migration_with_a_wrong_setting_prints_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_BATCH_SIZE", "none")
    assert main() == 2
    assert "PIPELINE_BATCH_SIZE" in capsys.readouterr().err
