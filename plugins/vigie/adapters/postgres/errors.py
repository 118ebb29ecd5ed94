"""Translate errors of psycopg2 and SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import sqlalchemy.exc as sa

from vigie.errors import (
    ConflictError,
    DataError,
    DiskFullError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)

_DOWN = "start it with `vigie up`, or check VIGIE_DATABASE_URL, and try again"
_LOGIN = "check the user, password and database of VIGIE_DATABASE_URL"
_SCHEMA = (
    "the database lacks a table or column of this version; run `vigie up` or, if "
    "VIGIE_DATABASE_URL is set, `vigie init`"
)

#: SQLSTATE prefix → error class and advice; the longest prefix applies
#: (PostgreSQL documentation, appendix A "PostgreSQL Error Codes").
_BY_STATE: dict[str, tuple[type[VigieError], str]] = {
    "08": (TransientError, _DOWN),
    "0A": (PermanentError, "the server does not support a feature that vigie needs"),
    "22": (DataError, "a value does not fit its column"),
    "23": (DataError, "a value violates a constraint of its table"),
    "23505": (ConflictError, "another process wrote the same key first"),
    "25006": (TransientError, "the server is read-only, probably a standby; try again"),
    "28": (SettingsError, _LOGIN),
    "3D": (SettingsError, _LOGIN),
    "40": (TransientError, "concurrent transactions conflict; try again"),
    "42": (PermanentError, "a statement is invalid; please report this"),
    "42501": (SettingsError, "the database user lacks a privilege"),
    "42P01": (SettingsError, _SCHEMA),
    "42703": (SettingsError, _SCHEMA),
    "53": (TransientError, "the server has reached a limit, for example of memory or connections"),
    "53100": (DiskFullError, "the server's disk is full; free disk space and try again"),
    "54": (DataError, "a value or statement exceeds a limit of PostgreSQL"),
    "55": (TransientError, "an object is in use; try again"),
    "57": (TransientError, _DOWN),
    "58": (TransientError, "the server cannot read or write its disk"),
}
#: A failed login has no SQLSTATE in psycopg2, so its message is compared.
_LOGIN_WORDS = ("password authentication failed", "no password supplied", "does not exist")
#: Errors without SQLSTATE: a refused or lost connection, or no free connection in the pool.
_NO_ANSWER = (
    sa.OperationalError,
    sa.InterfaceError,
    sa.DisconnectionError,
    sa.TimeoutError,
    sa.ResourceClosedError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Translate every database error of the block to a VigieError."""
    try:
        yield
    except (sa.SQLAlchemyError, psycopg2.Error) as exc:
        raise translate(exc) from exc


def translate(exc: Exception) -> VigieError:
    """Return the VigieError for a database error, without its statement and parameters.

    Examples
    --------
    >>> translate(psycopg2.OperationalError("could not connect"))  # doctest: +ELLIPSIS
    TransientError('PostgreSQL: could not connect; start it with `vigie up`, ...')
    """
    cause = getattr(exc, "orig", None) or exc
    if isinstance(cause, VigieError):  # The JSON encoder raised it.
        return cause
    kind, advice = _verdict(exc, cause)
    message = str(cause).strip().partition("\n")[0] or type(cause).__name__
    return kind(f"PostgreSQL: {message}; {advice}")


def _verdict(exc: Exception, cause: BaseException) -> tuple[type[VigieError], str]:
    state = getattr(cause, "pgcode", None) or ""
    for length in (5, 2):
        if len(state) >= length and state[:length] in _BY_STATE:
            return _BY_STATE[state[:length]]
    if not state and any(words in str(cause) for words in _LOGIN_WORDS):
        return SettingsError, _LOGIN
    if not state and isinstance(exc, _NO_ANSWER):
        return TransientError, _DOWN
    return PermanentError, "this error is unexpected; please report it"
