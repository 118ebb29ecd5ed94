"""Connections to PostgreSQL: a pool for statements, a connection of its own for what lasts."""

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

#: A server on this machine or in this network answers a login within milliseconds, also under load.
_CONNECT_TIMEOUT_S = 5
#: A host that vanished without a word is noticed, by both ends, after about 25 s.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_SERVER_KEEPALIVE = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)


def open_engine(url: str | URL, *, pool_size: int = 5) -> Engine:
    """Return an engine; nothing is connected yet.

    Parameters
    ----------
    url
        SQLAlchemy URL of a PostgreSQL database; the driver may be left out.
    pool_size
        Connections kept open; twice as many may be in use. 0: none is kept.

    Raises
    ------
    SettingsError
        If the URL cannot be read or names another database system.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pool_size:
        pool = {"pool_size": pool_size, "max_overflow": pool_size, "pool_timeout": 10}
    return sa.create_engine(
        _postgres_url(url),
        pool_pre_ping=True,  # a restart of the server costs nobody an error afterwards
        connect_args=_connect_args(),
        json_serializer=lambda value: dumps(value).decode(),
        json_deserializer=orjson.loads,
        **pool,
    )


def _postgres_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as exc:
        raise SettingsError("VIGIE_DATABASE_URL is not an SQLAlchemy URL") from exc
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            f"VIGIE_DATABASE_URL names {parsed.get_backend_name()!r}; vigie needs PostgreSQL "
            "(postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE)"
        )
    return parsed.set(drivername="postgresql+psycopg2")


def _connect_args() -> dict[str, Any]:
    """Return what every session says of itself; the name shows who holds a lock."""
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": f"vigie pid {os.getpid()} on {socket.gethostname()}"[:63],
        "options": f"-c timezone=UTC {_SERVER_KEEPALIVE}",
        **_KEEPALIVE,
    }


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """Yield a connection; the block commits what it wants kept."""
    with translated(), engine.connect() as connection:
        yield connection


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction: committed when the block ends well, else rolled back."""
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def own_session(engine: Engine) -> Iterator[Connection]:
    """Yield an autocommit connection outside the pool; its session locks last as long as the block.

    If the process dies, the server sees its socket close and frees the locks at once.
    """
    apart = open_engine(engine.url, pool_size=0).execution_options(isolation_level="AUTOCOMMIT")
    with translated():
        connection = apart.connect()
    try:
        yield connection
    finally:
        _free(connection)


def _free(connection: Connection) -> None:
    """Free the session's locks before it closes: the next one need not wait for the server."""
    try:
        connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
    except sa.exc.DBAPIError as exc:
        words = str(exc.orig).partition("\n")[0]
        log.warning("the session that held a lock was lost meanwhile: %s", words)
        connection.invalidate()
    connection.close()
