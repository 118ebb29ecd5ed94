"""The one point where psycopg2's and SQLAlchemy's errors become ours."""

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
_SCHEMA = "the database lacks our tables or is of another version: run `vigie init`"

#: SQLSTATE prefix → what the caller must do; the longest prefix rules
#: (PostgreSQL documentation, appendix A "PostgreSQL Error Codes").
_BY_STATE: dict[str, tuple[type[VigieError], str]] = {
    "08": (TransientError, _DOWN),
    "0A": (PermanentError, "this server does not have a feature that vigie needs"),
    "22": (DataError, "a value does not fit its column"),
    "23": (DataError, "a value breaks a rule of its table"),
    "23505": (ConflictError, "another process wrote the same key first"),
    "25006": (TransientError, "the server is read-only (a standby?); try again"),
    "28": (SettingsError, _LOGIN),
    "3D": (SettingsError, _LOGIN),
    "40": (TransientError, "transactions got in each other's way; try again"),
    "42": (PermanentError, "a statement is wrong; please report it"),
    "42501": (SettingsError, "the database user may not do this"),
    "42P01": (SettingsError, _SCHEMA),
    "42703": (SettingsError, _SCHEMA),
    "53": (TransientError, "the server is out of memory or connections; free some"),
    "53100": (DiskFullError, "the server's disk is full; make room and try again"),
    "54": (DataError, "a value is too long"),
    "55": (TransientError, "an object is in use; try again"),
    "57": (TransientError, _DOWN),
    "58": (TransientError, "the server's machine has trouble with its disk"),
}
#: A failed login carries no SQLSTATE in psycopg2, only words.
_LOGIN_WORDS = ("password authentication failed", "no password supplied", "does not exist")
#: Errors without a SQLSTATE: the connection broke, could not be made, or none was free.
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
    """Turn every error of the database into one of ours."""
    try:
        yield
    except (sa.SQLAlchemyError, psycopg2.Error) as exc:
        raise translate(exc) from exc


def translate(exc: Exception) -> VigieError:
    """Return our error for one of theirs; its message says what to do and never holds parameters.

    Examples
    --------
    >>> translate(psycopg2.OperationalError("could not connect"))  # doctest: +ELLIPSIS
    TransientError('PostgreSQL: could not connect; start it with `vigie up`, ...')
    """
    cause = getattr(exc, "orig", None) or exc
    if isinstance(cause, VigieError):  # raised by our own encoder while a statement was bound
        return cause
    kind, advice = _verdict(exc, cause)
    words = str(cause).strip().partition("\n")[0] or type(cause).__name__
    return kind(f"PostgreSQL: {words}; {advice}")


def _verdict(exc: Exception, cause: BaseException) -> tuple[type[VigieError], str]:
    state = getattr(cause, "pgcode", None) or ""
    for length in (5, 2):
        if len(state) >= length and state[:length] in _BY_STATE:
            return _BY_STATE[state[:length]]
    if not state and any(words in str(cause) for words in _LOGIN_WORDS):
        return SettingsError, _LOGIN
    if not state and isinstance(exc, _NO_ANSWER):
        return TransientError, _DOWN
    return PermanentError, "this should not happen; please report it"
