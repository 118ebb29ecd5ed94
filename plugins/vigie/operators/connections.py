"""Read Airflow Connections as overrides of the settings.

Only a task or a trigger can read Connections; ``vigie check`` uses Airflow's REST API.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowNotFoundException,
    AirflowRuntimeError,
)

from vigie.errors import SettingsError, TransientError
from vigie.operators.connection_settings import READERS

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)


def connection_overrides() -> dict[str, str]:
    """Read the existing Connections in a task; return their settings by variable name.

    An empty value resets the variable to its default (see
    :mod:`vigie.operators.connection_settings`).

    Raises
    ------
    SettingsError
        If a Connection lacks a required field or has an invalid field.
    TransientError
        If Airflow's API server did not answer, so that it is unknown whether a Connection exists.
    """
    return overrides({conn_id: _find(conn_id) for conn_id in READERS})


async def connection_overrides_of_trigger() -> dict[str, str]:
    """Read the existing Connections in a trigger, without blocking the event loop."""
    return overrides({conn_id: await _find_async(conn_id) for conn_id in READERS})


def parse_connection(conn_id: str, text: str) -> Connection:
    """Parse the value of a variable ``AIRFLOW_CONN_…``: JSON or a URI.

    Raises
    ------
    SettingsError
        If the value is neither. Airflow's message is omitted, because it contains the password.
    """
    from airflow.sdk import Connection

    try:
        if text.startswith("{"):
            return Connection.from_json(text, conn_id=conn_id)
        return Connection.from_uri(text, conn_id=conn_id)
    except (ValueError, TypeError, AttributeError, AirflowException):
        raise SettingsError(
            f"AIRFLOW_CONN_{conn_id.upper()} is not a Connection: expected JSON, or a URI "
            "TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA with escaped parts"
        ) from None


def overrides(found: Mapping[str, Connection | None]) -> dict[str, str]:
    """Return the settings of Connections by variable name; log the names but not the values."""
    values: dict[str, str] = {}
    for conn_id, conn in found.items():
        if conn is not None:
            settings = READERS[conn_id](conn_id, conn)
            values |= settings
            names = ", ".join(sorted(name for name, value in settings.items() if value))
            log.info("settings from Connection %s: %s", conn_id, names)
    return values


def _find(conn_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except AirflowRuntimeError as exc:
        raise _unavailable(conn_id, exc) from exc


async def _find_async(conn_id: str) -> Connection | None:
    try:
        return await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except AirflowRuntimeError as exc:
        raise _unavailable(conn_id, exc) from exc


def _unavailable(conn_id: str, exc: AirflowRuntimeError) -> TransientError:
    return TransientError(f"Airflow did not answer when Connection {conn_id} was read: {exc}")
