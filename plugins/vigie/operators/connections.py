"""Airflow Connections, turned into overrides of the settings; the only place that reads them.

Outside a task they cannot be read: ``vigie check`` asks Airflow's REST API instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowRuntimeError

from vigie.errors import TransientError

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)


def _host_and_port(conn: Connection) -> dict[str, str]:
    values = {"ELASTICSEARCH_HOST": conn.host or "", "ELASTICSEARCH_PORT": str(conn.port or "")}
    return {key: value for key, value in values.items() if value}


def _kafka(conn: Connection) -> dict[str, str]:
    servers = conn.extra_dejson.get("bootstrap.servers") or conn.host
    return {"KAFKA_BOOTSTRAP_SERVERS": str(servers)} if servers else {}


def _uri(variable: str) -> Callable[[Connection], dict[str, str]]:
    def read(conn: Connection) -> dict[str, str]:
        port = f":{conn.port}" if conn.port else ""
        return {variable: f"{conn.conn_type or 'http'}://{conn.host}{port}"} if conn.host else {}

    return read


def _gradio(conn: Connection) -> dict[str, str]:
    values = _uri("GRADIO_URL")(conn)
    return values | ({"HF_TOKEN": conn.password} if conn.password else {})


READERS: Mapping[str, Callable[[Connection], dict[str, str]]] = {
    "elasticsearch_default": _host_and_port,
    "kafka_default": _kafka,
    "mlflow_default": _uri("MLFLOW_TRACKING_URI"),
    "gradio_default": _gradio,
    "pushgateway_default": _uri("PROMETHEUS_PUSHGATEWAY_URL"),
}


def connection_overrides() -> dict[str, str]:
    """Return the settings that existing Connections rule, by variable name.

    Raises
    ------
    TransientError
        Airflow's API server did not answer: not knowing whether a Connection exists, guessing
        would be wrong.
    """
    overrides: dict[str, str] = {}
    for conn_id, read in READERS.items():
        conn = _find(conn_id)
        if conn is not None:
            overrides |= read(conn)
            log.info("settings from Connection %s: %s", conn_id, sorted(read(conn)))
    return overrides


def _find(conn_id: str) -> Connection | None:
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except AirflowRuntimeError as exc:
        raise TransientError(f"Airflow did not answer for Connection {conn_id}: {exc}") from exc
