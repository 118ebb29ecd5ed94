"""Airflow Connections, turned into overrides of the settings; the only place that reads them.

They can be read in a task and in a trigger. Outside they cannot: ``vigie check`` asks Airflow's
REST API instead.
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
    """Return the settings that existing Connections rule, by variable name; for a task.

    An empty value resets the variable to its default (see
    :mod:`vigie.operators.connection_settings`).

    Raises
    ------
    SettingsError
        A Connection lacks what it must say.
    TransientError
        Airflow's API server did not answer: not knowing whether a Connection exists, guessing
        would be wrong.
    """
    return overrides({conn_id: _find(conn_id) for conn_id in READERS})


async def connection_overrides_of_trigger() -> dict[str, str]:
    """Return the same in a trigger, where the blocking way would end the triggerer's loop."""
    return overrides({conn_id: await _find_async(conn_id) for conn_id in READERS})


def parse_connection(conn_id: str, text: str) -> Connection:
    """Read the value of a variable ``AIRFLOW_CONN_…``: JSON or a URI.

    Raises
    ------
    SettingsError
        It is neither; Airflow's own error would repeat the value, password and all.
    """
    from airflow.sdk import Connection

    try:
        if text.startswith("{"):
            return Connection.from_json(text, conn_id=conn_id)
        return Connection.from_uri(text, conn_id=conn_id)
    except (ValueError, TypeError, AttributeError, AirflowException):
        raise SettingsError(
            f"AIRFLOW_CONN_{conn_id.upper()} is no Connection: expected JSON, or a URI "
            "TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA with escaped parts"
        ) from None


def overrides(found: Mapping[str, Connection | None]) -> dict[str, str]:
    """Read the Connections that exist; the log names their variables, never a value."""
    values: dict[str, str] = {}
    for conn_id, conn in found.items():
        if conn is not None:
            ruled = READERS[conn_id](conn_id, conn)
            values |= ruled
            told = ", ".join(sorted(name for name, value in ruled.items() if value))
            log.info("settings from Connection %s: %s", conn_id, told)
    return values


def _find(conn_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except AirflowRuntimeError as exc:
        raise _silent(conn_id, exc) from exc


async def _find_async(conn_id: str) -> Connection | None:
    try:
        return await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except AirflowRuntimeError as exc:
        raise _silent(conn_id, exc) from exc


def _silent(conn_id: str, exc: AirflowRuntimeError) -> TransientError:
    return TransientError(f"Airflow did not answer for Connection {conn_id}: {exc}")
