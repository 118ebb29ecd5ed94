"""MLflow's errors, translated at one point, and a quick probe: its client retries for minutes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from sqlalchemy.exc import SQLAlchemyError

from vigie.encoding import without_login
from vigie.errors import DataError, SettingsError, TransientError

SETTINGS_CODES = frozenset(
    {
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "CUSTOMER_UNAUTHORIZED",
        "ENDPOINT_NOT_FOUND",
        "FEATURE_DISABLED",
        "NOT_IMPLEMENTED",
    }
)
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


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn foreign errors into ours: what is wrong with our input is permanent, the rest may pass.

    A refused host name (403 with the words below) is a setting of the server.
    """
    told = without_login(uri)
    from mlflow.exceptions import MlflowException  # 3 s, and only a server that answers is worth it

    try:
        yield
    except MlflowException as exc:
        text = f"MLflow at {told}: {str(exc)[:500]}"
        if exc.error_code in SETTINGS_CODES or "Invalid Host header" in str(exc):
            raise SettingsError(f"{text} (MLFLOW_TRACKING_URI, --allowed-hosts)") from exc
        if exc.error_code in DATA_CODES:
            raise DataError(text) from exc
        raise TransientError(text) from exc
    except (requests.RequestException, SQLAlchemyError, OSError) as exc:
        raise TransientError(f"MLflow at {told} did not answer: {exc}") from exc


def probe(uri: str, timeout_s: float) -> None:
    """Connect once, quickly: a server that is down must not cost MLflow's seven retries.

    Raises
    ------
    TransientError
        Nothing listens at the address of an ``http`` URI. Other schemes are not probed.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=timeout_s).close()
    except OSError as exc:
        raise TransientError(
            f"MLflow at {without_login(uri)} did not answer ({exc}); run `vigie up`, "
            "or set MLFLOW_ENABLED=false"
        ) from exc
