"""Every error of psycopg2 and SQLAlchemy is translated."""

from __future__ import annotations

import inspect
from pathlib import Path

import psycopg2
import psycopg2.errorcodes
import psycopg2.errors
import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from vigie.adapters.postgres import SqlPredictions, open_engine
from vigie.adapters.postgres.errors import translate
from vigie.errors import (
    ConflictError,
    DataError,
    DiskFullError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)

_SQLSTATES = {
    "ConnectionFailure": TransientError,
    "AdminShutdown": TransientError,
    "CannotConnectNow": TransientError,
    "DiskFull": DiskFullError,
    "TooManyConnections": TransientError,
    "DeadlockDetected": TransientError,
    "SerializationFailure": TransientError,
    "LockNotAvailable": TransientError,
    "QueryCanceled": TransientError,
    "ReadOnlySqlTransaction": TransientError,
    "UniqueViolation": ConflictError,
    "NotNullViolation": DataError,
    "NumericValueOutOfRange": DataError,
    "UntranslatableCharacter": DataError,
    "InvalidPassword": SettingsError,
    "InvalidCatalogName": SettingsError,
    "InsufficientPrivilege": SettingsError,
    "UndefinedTable": SettingsError,
    "UndefinedColumn": SettingsError,
    "SyntaxError": PermanentError,
}


#: Every error class of psycopg2 for a SQLSTATE.
_KINDS = [kind for _, kind in inspect.getmembers(psycopg2.errors, inspect.isclass)]
_CODES = {
    kind: code
    for name, code in inspect.getmembers(psycopg2.errorcodes)
    for kind in _KINDS
    if kind.__name__.upper() == name.rstrip("_").replace("_", "")
}


def _raised_by_server(kind: type[psycopg2.Error]) -> psycopg2.Error:
    """Return an error as the driver creates it for a response of the server."""
    theirs = kind("what happened")
    theirs.__setstate__({"pgcode": _CODES.get(kind)})
    return theirs


@pytest.mark.parametrize(("name", "ours"), _SQLSTATES.items())
def test_a_sqlstate_decides_the_error(name: str, ours: type[VigieError]) -> None:
    theirs = _raised_by_server(getattr(psycopg2.errors, name))
    wrapped = sqlalchemy.exc.DBAPIError.instance("SELECT 1", {}, theirs, psycopg2.Error)
    assert type(translate(theirs)) is ours
    assert type(translate(wrapped)) is ours


def test_no_error_of_psycopg2_is_unmapped() -> None:
    assert len(_CODES) > 200
    for kind in _CODES:
        ours = translate(_raised_by_server(kind))
        assert isinstance(ours, TransientError | PermanentError | ConflictError)
        assert str(ours).startswith("PostgreSQL: what happened; ")


def test_no_error_of_sqlalchemy_is_unmapped() -> None:
    kinds = [kind for _, kind in inspect.getmembers(sqlalchemy.exc, inspect.isclass)]
    theirs = [kind for kind in kinds if issubclass(kind, sqlalchemy.exc.SQLAlchemyError)]
    assert len(theirs) > 30
    for kind in theirs:
        error = kind.__new__(kind)
        if isinstance(error, sqlalchemy.exc.StatementError):
            cause = ValueError("what happened")
            sqlalchemy.exc.StatementError.__init__(error, "failed", "SELECT 1", {}, cause)
        assert isinstance(translate(error), VigieError)


def test_a_broken_connection_is_transient() -> None:
    closed = psycopg2.InterfaceError("connection already closed")
    assert isinstance(translate(closed), TransientError)
    assert isinstance(translate(sqlalchemy.exc.TimeoutError("pool is empty")), TransientError)


def test_a_vigie_error_inside_a_statement_is_unchanged() -> None:
    ours = DataError("cannot encode the value as JSON")
    wrapped = sqlalchemy.exc.StatementError("failed", "INSERT", {}, ours)
    assert translate(wrapped) is ours


def test_a_message_never_contains_parameters() -> None:
    theirs = psycopg2.errors.UndefinedTable("no such table")
    wrapped = sqlalchemy.exc.DBAPIError.instance(
        "SELECT %(secret)s", {"secret": "s3cret"}, theirs, psycopg2.Error
    )
    assert "s3cret" not in str(translate(wrapped))


def test_a_server_that_is_down_is_transient_with_advice(tmp_path: Path) -> None:
    engine = open_engine(f"postgresql://vigie:secret@/vigie?host={tmp_path}")
    with pytest.raises(TransientError, match="vigie up") as caught:
        SqlPredictions(engine).count()
    assert "secret" not in str(caught.value)


def test_a_refused_tcp_connection_is_transient() -> None:
    engine = open_engine("postgresql://vigie@127.0.0.1:1/vigie")
    with pytest.raises(TransientError, match="vigie up"):
        SqlPredictions(engine).count()


def test_a_wrong_password_is_a_settings_error(database_url: str) -> None:
    url = sa.make_url(database_url).set(password="wrong")
    with pytest.raises(SettingsError, match="VIGIE_DATABASE_URL"):
        SqlPredictions(open_engine(url)).count()


def test_a_missing_database_is_a_settings_error(database_url: str) -> None:
    url = sa.make_url(database_url).set(database="nowhere")
    with pytest.raises(SettingsError, match="VIGIE_DATABASE_URL"):
        SqlPredictions(open_engine(url)).count()


def test_a_database_without_tables_advises_vigie_init(database_url: str) -> None:
    url = sa.make_url(database_url).set(database="postgres")
    engine = open_engine(url)
    with pytest.raises(SettingsError, match="vigie init"):
        SqlPredictions(engine).count()
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite:///vigie.db", "mysql://u@h/d", "postgresql://h:port/d", "no url", ""]
)
def test_only_postgresql_is_accepted(url: str) -> None:
    with pytest.raises(SettingsError, match="VIGIE_DATABASE_URL"):
        open_engine(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_driver_is_optional(scheme: str) -> None:
    assert open_engine(f"{scheme}://u:p@h/d").url.drivername == "postgresql+psycopg2"
