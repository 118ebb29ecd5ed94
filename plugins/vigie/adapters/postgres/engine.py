"""Connections to PostgreSQL: pooled for statements, dedicated for session locks."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from vigie.adapters.postgres.errors import translated
from vigie.encoding import dumps
from vigie.errors import SettingsError

log = logging.getLogger(__name__)

#: Five seconds are enough: even under load, a server accepts a login within milliseconds.
_CONNECT_TIMEOUT_S = 5
#: Both ends detect a lost host after about 25 s.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_SERVER_KEEPALIVE = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)


def open_engine(url: str | URL, *, pool_size: int = 5) -> Engine:
    """Return an engine, which connects when it is first used.

    ``pool_size`` connections stay open, and twice as many can be in use; 0 means no pool. Raises
    SettingsError if the URL is malformed or names another database system.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pool_size:
        pool = {"pool_size": pool_size, "max_overflow": pool_size, "pool_timeout": 10}
    return sa.create_engine(
        _postgres_url(url),
        pool_pre_ping=True,  # Replace connections that a restart of the server broke.
        connect_args=_connect_args(),
        json_serializer=lambda value: dumps(value).decode(),
        json_deserializer=orjson.loads,
        **pool,
    )


def _postgres_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as exc:  # ValueError: the port is not a number
        raise SettingsError("VIGIE_DATABASE_URL is not an SQLAlchemy URL") from exc
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            f"VIGIE_DATABASE_URL is for {parsed.get_backend_name()!r}; vigie needs PostgreSQL "
            "(postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE)"
        )
    return parsed.set(drivername="postgresql+psycopg2")


def _connect_args() -> dict[str, Any]:
    # Messages about a held lock contain the application name of its holder.
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": f"vigie pid {os.getpid()} on {socket.gethostname()}"[:63],
        "options": f"-c timezone=UTC {_SERVER_KEEPALIVE}",
        **_KEEPALIVE,
    }


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """Yield a connection; changes are lost unless the caller commits them."""
    with translated(), engine.connect() as connection:
        yield connection


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction: committed on success, rolled back on an error."""
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def own_session(engine: Engine) -> Iterator[Connection]:
    """Yield an autocommit connection outside the pool; its session locks end with the block.

    If the process dies, the server closes the session and thereby releases its locks.
    """
    dedicated = open_engine(engine.url, pool_size=0).execution_options(isolation_level="AUTOCOMMIT")
    with translated():
        connection = dedicated.connect()
    try:
        yield connection
    finally:
        _release(connection)


def _release(connection: Connection) -> None:
    """Release the session locks and close; the close alone would release them with a delay."""
    try:
        connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
    except sa.exc.DBAPIError as exc:
        message = str(exc.orig).partition("\n")[0]
        log.warning("lost a database session for locks: %s", message)
        connection.invalidate()
    connection.close()
