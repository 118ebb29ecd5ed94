"""Migration of a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, func, select

import vigie.adapters.postgres
from vigie.adapters.postgres.engine import connected, open_engine, transaction
from vigie.adapters.postgres.locks import lock_key
from vigie.errors import SettingsError


def upgrade(url: str) -> None:
    """Apply the missing migrations in one transaction; concurrent calls are safe.

    Raises SettingsError if this version of vigie does not know the revision of the schema.
    """
    engine = open_engine(url, pool_size=0)
    with transaction(engine) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(lock_key("migrations"))))
        try:
            command.upgrade(_config(connection), "head")
        except CommandError as exc:
            raise SettingsError(f"a newer version of vigie migrated the database: {exc}") from exc


def is_current(engine: Engine) -> bool:
    """Return whether a database has the schema of this version."""
    with connected(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(_config()).get_current_head()


def _config(connection: Connection | None = None) -> Config:
    folder = Path(vigie.adapters.postgres.__path__[0], "migrations")
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
