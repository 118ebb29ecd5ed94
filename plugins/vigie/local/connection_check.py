"""Airflow Connections as ``vigie check`` sees them: through Airflow's REST API.

In a task a Connection that exists wins over the environment; in a shell it cannot be read. Where
the two differ, a DAG and the command of the same name would use different services.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr
from sqlalchemy.engine import make_url

from vigie.errors import TransientError
from vigie.local.environments import read_overrides
from vigie.local.state import Platform
from vigie.settings import Settings

if TYPE_CHECKING:
    from vigie.operators.connection_settings import ConnectionFields

HIDDEN = "***"  # what the API shows of a password, and of a secret key of the extra
_VARIABLE = "AIRFLOW_CONN_"


@dataclass(frozen=True, slots=True)
class ListedConnection:
    """What the API tells of a Connection; the reader's view of it."""

    conn_type: str | None
    host: str | None
    schema: str | None
    login: str | None
    password: str | None
    port: int | None
    extra: str | None


def connection_differences(platform: Platform, settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each setting that a Connection rules and this shell sees otherwise.

    A secret that the API hides counts as different only where this shell has none.

    Raises
    ------
    TransientError
        If Airflow did not answer.
    """
    found: dict[str, ConnectionFields] = {**_listed(platform), **_of_the_environment(platform)}
    if not found:
        return ()
    from vigie.operators.connection_settings import READERS

    return tuple(
        f"{variable}: tasks take it from Connection {conn_id}, this shell from "
        f"{settings.source(variable)}; make the two agree"
        for conn_id, read in READERS.items()
        if conn_id in found
        for variable in changed(settings, read(conn_id, found[conn_id]))
    )


def changed(settings: Settings, ruled: Mapping[str, str]) -> Iterator[str]:
    """Name the variables that a Connection would change."""
    shown = {name: _shown(value, _value(settings, name)) for name, value in ruled.items()}
    there = Settings.from_env(shown)
    for variable in shown:
        if _value(there, variable) != _value(settings, variable):
            yield variable


def _shown(value: str, ours: object) -> str:
    """Put our own secret in the place of a hidden one, also within a URL."""
    if not ours:
        return value
    if value == HIDDEN:
        return str(ours)
    if quote(HIDDEN, safe="") not in value:
        return value
    return make_url(value).set(password=make_url(str(ours)).password).render_as_string(False)


def _value(settings: Settings, variable: str) -> object:
    """Return a setting by its variable's name, secrets in clear."""
    for group in (getattr(settings, field.name) for field in fields(settings)):
        if isinstance(group, BaseModel):
            for name, field in type(group).model_fields.items():
                if field.alias == variable:
                    value = getattr(group, name)
                    return value.get_secret_value() if isinstance(value, SecretStr) else value
    return None


def _of_the_environment(platform: Platform) -> dict[str, ConnectionFields]:
    """Return the Connections that ``.env`` makes (``AIRFLOW_CONN_…``); they win."""
    noted = read_overrides(platform) or {}
    made = {name: value for name, value in noted.items() if name.startswith(_VARIABLE)}
    if not made:
        return {}
    from vigie.operators.connections import parse_connection

    named = {name.removeprefix(_VARIABLE).lower(): value for name, value in made.items()}
    return {conn_id: parse_connection(conn_id, value) for conn_id, value in named.items()}


def _listed(platform: Platform) -> dict[str, ConnectionFields]:
    login = {"username": "admin", "password": platform.secrets["airflow_admin_password"]}
    try:
        with httpx.Client(base_url=platform.url("airflow"), trust_env=False, timeout=3) as client:
            token = client.post("/auth/token", json=login).raise_for_status().json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            answer = client.get(
                "/api/v2/connections?limit=100&connection_id_pattern=_default", headers=headers
            )
            listed = answer.raise_for_status().json()["connections"]
    except httpx.HTTPError as exc:
        raise TransientError(f"Airflow did not tell its Connections: {exc}") from exc
    return {connection["connection_id"]: _connection(connection) for connection in listed}


def _connection(body: Mapping[str, Any]) -> ListedConnection:
    return ListedConnection(
        **{field.name: body.get(field.name) for field in fields(ListedConnection)}
    )
