"""Translate errors of MLflow, and probe the MLflow server before a call."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from sqlalchemy.exc import SQLAlchemyError

from vigie.addresses import checked_url, without_login
from vigie.errors import DataError, SettingsError, TransientError

REFUSED = frozenset({401, 403})
REFUSED_CODES = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
SETTINGS_CODES = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED"})
DATA_CODES = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "INVALID_STATE_TRANSITION",
        "MALFORMED_REQUEST",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "DATA_LOSS",
    }
)
_WRONG_HOST = "Invalid Host header"


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Translate the errors that MLflow's client raises into errors of vigie.

    The client also raises errors of ``requests``, SQLAlchemy and the operating system. An error of
    MLflow with an unknown code becomes a TransientError.
    """
    address = without_login(uri)
    from mlflow.exceptions import MlflowException  # The import takes 3 s.

    try:
        yield
    except MlflowException as exc:
        if exc.error_code in REFUSED_CODES or _WRONG_HOST in str(exc):
            raise refused(uri, str(exc)) from exc
        text = f"MLflow at {address}: {str(exc)[:500]}"
        if exc.error_code in SETTINGS_CODES:
            raise SettingsError(f"{text}; check MLFLOW_TRACKING_URI") from exc
        if exc.error_code in DATA_CODES:
            raise DataError(text) from exc
        raise TransientError(text) from exc
    except (requests.RequestException, SQLAlchemyError, OSError) as exc:
        response = getattr(exc, "response", None)
        if response is not None and response.status_code in REFUSED:
            raise refused(uri, str(exc)) from exc
        raise TransientError(f"a call to MLflow at {address} failed: {exc}") from exc


def refused(uri: str, words: str) -> SettingsError:
    """Return the error for a server that denied access; ``words`` is the server's message.

    A server denies access for a wrong login or for a host name that it does not allow.
    """
    advice = (
        "check MLFLOW_TRACKING_URI, or add its host to the server's --allowed-hosts"
        if _WRONG_HOST in words
        else "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or _TOKEN)"
    )
    return SettingsError(f"MLflow at {without_login(uri)} denied access: {words[:500]}; {advice}")


def probe(uri: str, timeout_s: float) -> None:
    """Connect once to the server of an HTTP(S) URI, because MLflow's client retries for minutes.

    Raises TransientError if the server does not accept the connection, and SettingsError if the URI
    is malformed. URIs of other schemes are not probed.
    """
    if not uri.lower().startswith(("http:", "https:")):
        return
    url = checked_url(uri, "MLFLOW_TRACKING_URI")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.raw_host.decode(), port), timeout=timeout_s).close()
    except OSError as exc:
        advice = "run `vigie up`, check MLFLOW_TRACKING_URI, or set MLFLOW_ENABLED=false"
        where = f"MLflow at {without_login(uri)}"
        raise TransientError(f"{where} did not answer ({exc}); {advice}") from exc
