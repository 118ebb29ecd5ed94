"""Airflow Connections as ``vigie check`` sees them: through Airflow's REST API.

In a task a Connection that exists wins over the environment; in a shell it cannot be read. Where
the two differ, a DAG and the command of the same name would use different services.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx

from vigie.errors import TransientError
from vigie.local.state import Platform
from vigie.settings import Settings


def connection_differences(platform: Platform, settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each setting that a Connection rules and this shell sees otherwise.

    Raises
    ------
    TransientError
        If Airflow did not answer.
    """
    found = _connections(platform)
    if not found:
        return ()
    from vigie.operators.connections import READERS

    return tuple(
        f"{variable}: tasks take it from Connection {conn_id}, this shell from "
        f"{settings.source(variable)}; make the two agree"
        for conn_id, read in READERS.items()
        if conn_id in found
        for variable in _changed(read(cast(Any, _as_connection(found[conn_id]))))
    )


def _changed(values: Mapping[str, str]) -> Iterator[str]:
    """Name the variables that would change the settings."""
    here = Settings.from_env()
    for variable, value in values.items():
        there = Settings.from_env({variable: value})
        if replace(there, sources={}) != replace(here, sources={}):
            yield variable


def _as_connection(body: Mapping[str, Any]) -> SimpleNamespace:
    """Return what a task would see of a Connection, but for its password, which the API hides."""
    extra = body.get("extra")
    return SimpleNamespace(
        conn_type=body.get("conn_type"),
        host=body.get("host"),
        port=body.get("port"),
        password=None,
        extra_dejson=json.loads(extra) if extra else {},
    )


def _connections(platform: Platform) -> dict[str, dict[str, Any]]:
    login = {"username": "admin", "password": platform.secrets["airflow_admin_password"]}
    try:
        with httpx.Client(base_url=platform.url("airflow"), trust_env=False, timeout=3) as client:
            token = client.post("/auth/token", json=login).raise_for_status().json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            answer = client.get("/api/v2/connections?limit=100", headers=headers)
            listed = answer.raise_for_status().json()["connections"]
    except httpx.HTTPError as exc:
        raise TransientError(f"Airflow did not tell its Connections: {exc}") from exc
    return {connection["connection_id"]: connection for connection in listed}
