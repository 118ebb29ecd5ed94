"""Compare Airflow Connections with the settings of this shell, through Airflow's REST API.

In a task, a Connection takes precedence over the environment. A shell cannot read Connections. If a
Connection differs from the environment, tasks and commands use different services.
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

HIDDEN = "***"  # replaces passwords and secret extras in the API's responses
_VARIABLE = "AIRFLOW_CONN_"
_ADDRESSES = ("PROMETHEUS_PUSHGATEWAY_URL", "MLFLOW_TRACKING_URI", "GRADIO_URL")


@dataclass(frozen=True, slots=True)
class ListedConnection:
    """A Connection as Airflow's REST API returns it."""

    conn_type: str | None
    host: str | None
    schema: str | None
    login: str | None
    password: str | None
    port: int | None
    extra: str | None


def connection_differences(platform: Platform, settings: Settings) -> tuple[str, ...]:
    """Return a message for each setting that differs between a Connection and this shell.

    If the API hides a secret, the setting differs only if this shell has no value for it.

    Raises
    ------
    TransientError
        If Airflow did not answer.
    SettingsError
        If a Connection is invalid, or the server is not Airflow.
    """
    found: dict[str, ConnectionFields] = {**_listed(platform), **_from_environment(platform)}
    if not found:
        return ()
    from vigie.operators.connection_settings import READERS

    return tuple(
        f"{variable}: tasks take it from Connection {conn_id}, this shell from "
        f"{settings.source(variable)}; set both to the same value"
        for conn_id, read in READERS.items()
        if conn_id in found
        for variable in changed(settings, read(conn_id, found[conn_id]))
    )


def changed(settings: Settings, changes: Mapping[str, str]) -> Iterator[str]:
    """Yield the variables whose values in ``changes`` differ from those in ``settings``."""
    shown = {name: _shown(value, _value(settings, name)) for name, value in changes.items()}
    there = Settings.from_env(shown)
    for variable in shown:
        in_tasks, here = _value(there, variable), _value(settings, variable)
        if _comparable(variable, in_tasks) != _comparable(variable, here):
            yield variable


def _shown(value: str, current: object) -> str:
    """Replace a hidden secret, or a hidden password in a URL, with the value of this shell."""
    if not current:
        return value
    if value == HIDDEN:
        return str(current)
    if quote(HIDDEN, safe="") not in value:
        return value
    try:
        secret = make_url(_with_scheme(str(current))).password
    except (ArgumentError, ValueError):
        return value
    return make_url(value).set(password=secret).render_as_string(False)


def _with_scheme(address: str) -> str:
    """Add a scheme to an address without one, such as the Pushgateway's ``host:port``."""
    return address if "://" in address else f"http://{address}"


def _comparable(variable: str, value: object) -> object:
    """Split an address into its parts, because it can be written in several ways."""
    if variable not in _ADDRESSES or not isinstance(value, str):
        return value
    try:
        url = httpx.URL(_with_scheme(value))
    except httpx.InvalidURL:
        return value
    return url.scheme, url.username, url.password, url.host, url.port, url.path.rstrip("/")


def _value(settings: Settings, variable: str) -> object:
    """Return the value of a variable; secrets are returned in clear text."""
    for group in (getattr(settings, field.name) for field in fields(settings)):
        if isinstance(group, BaseModel):
            for name, field in type(group).model_fields.items():
                if field.alias == variable:
                    value = getattr(group, name)
                    return value.get_secret_value() if isinstance(value, SecretStr) else value
    return None


def _from_environment(platform: Platform) -> dict[str, ConnectionFields]:
    """Return the Connections that ``.env`` contained at the last ``vigie up``.

    They take precedence over the Connections stored in Airflow.
    """
    from vigie.operators.connection_settings import READERS

    overrides = read_overrides(platform) or {}
    variables = {conn_id: f"{_VARIABLE}{conn_id.upper()}" for conn_id in READERS}
    named = {conn_id: overrides[name] for conn_id, name in variables.items() if name in overrides}
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
        raise TransientError(f"cannot read Airflow's Connections: {exc}") from exc
    if not isinstance(listed, list):
        raise SettingsError(f"the server at {platform.url('airflow')} is not Airflow")
    return {str(part_of(found, "connection_id")): _connection(found) for found in listed}


def _connection(body: Any) -> ListedConnection:
    return ListedConnection(
        **{field.name: part_of(body, field.name) for field in fields(ListedConnection)}
    )
