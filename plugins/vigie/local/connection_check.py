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
from sqlalchemy.exc import ArgumentError

from vigie.errors import SettingsError, TransientError
from vigie.local.environments import read_overrides
from vigie.local.probes import part_of
from vigie.local.state import Platform
from vigie.settings import Settings

if TYPE_CHECKING:
    from vigie.operators.connection_settings import ConnectionFields

HIDDEN = "***"  # what the API shows of a password, and of a secret key of the extra
_VARIABLE = "AIRFLOW_CONN_"
_ADDRESSES = ("PROMETHEUS_PUSHGATEWAY_URL", "MLFLOW_TRACKING_URI", "GRADIO_URL")


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
    SettingsError
        If a Connection lacks what it must say.
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
        theirs, ours = _value(there, variable), _value(settings, variable)
        if _comparable(variable, theirs) != _comparable(variable, ours):
            yield variable


def _shown(value: str, ours: object) -> str:
    """Put our own secret in the place of a hidden one, also within a URL."""
    if not ours:
        return value
    if value == HIDDEN:
        return str(ours)
    if quote(HIDDEN, safe="") not in value:
        return value
    try:
        secret = make_url(_with_scheme(str(ours))).password
    except (ArgumentError, ValueError):
        return value
    return make_url(value).set(password=secret).render_as_string(False)


def _with_scheme(address: str) -> str:
    """Return a whole address of one that may be ``host:port``, as the Pushgateway's may."""
    return address if "://" in address else f"http://{address}"


def _comparable(variable: str, value: object) -> object:
    """Return an address by its parts: the same one may be written in more than one way."""
    if variable not in _ADDRESSES or not isinstance(value, str):
        return value
    try:
        url = httpx.URL(_with_scheme(value))
    except httpx.InvalidURL:
        return value
    return url.scheme, url.username, url.password, url.host, url.port, url.path.rstrip("/")


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
    """Return those of ours that ``.env`` makes (``AIRFLOW_CONN_…``); they win."""
    from vigie.operators.connection_settings import READERS

    noted = read_overrides(platform) or {}
    variables = {conn_id: f"{_VARIABLE}{conn_id.upper()}" for conn_id in READERS}
    named = {conn_id: noted[name] for conn_id, name in variables.items() if name in noted}
    if not named:
        return {}
    from vigie.operators.connections import parse_connection

    return {conn_id: parse_connection(conn_id, value) for conn_id, value in named.items()}


def _listed(platform: Platform) -> dict[str, ConnectionFields]:
    login = {"username": "admin", "password": platform.secrets["airflow_admin_password"]}
    try:
        with httpx.Client(base_url=platform.url("airflow"), trust_env=False, timeout=3) as client:
            answer = client.post("/auth/token", json=login)
            token = part_of(answer.raise_for_status().json(), "access_token")
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.get(
                "/api/v2/connections?limit=100&connection_id_pattern=_default", headers=headers
            )
            listed = part_of(answer.raise_for_status().json(), "connections")
    except (httpx.HTTPError, ValueError) as exc:
        raise TransientError(f"Airflow did not tell its Connections: {exc}") from exc
    if not isinstance(listed, list):
        raise SettingsError(f"what answers at {platform.url('airflow')} is not Airflow")
    return {str(part_of(found, "connection_id")): _connection(found) for found in listed}


def _connection(body: Any) -> ListedConnection:
    return ListedConnection(
        **{field.name: part_of(body, field.name) for field in fields(ListedConnection)}
    )
