"""Convert Airflow Connections to settings by variable name, without importing Airflow.

A Connection sets all address and login variables of its service. If an optional field is not set,
the value of its variable is empty, which resets the variable to its default. So a password from the
environment is never sent to the server of a Connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from vigie.errors import SettingsError

log = logging.getLogger(__name__)


class ConnectionFields(Protocol):
    """The fields that Airflow's class ``Connection`` and the response of its REST API share."""

    @property
    def conn_type(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def schema(self) -> str | None: ...
    @property
    def login(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def extra(self) -> str | None: ...


Reader = Callable[[str, ConnectionFields], dict[str, str]]

_KAFKA = {
    "bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS",
    "security.protocol": "KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "KAFKA_SASL_MECHANISM",
    "sasl.mechanisms": "KAFKA_SASL_MECHANISM",
    "sasl.username": "KAFKA_SASL_USERNAME",
    "sasl.password": "KAFKA_SASL_PASSWORD",
    "ssl.ca.location": "KAFKA_SSL_CA_LOCATION",
    "ssl.certificate.location": "KAFKA_SSL_CERTIFICATE_LOCATION",
    "ssl.key.location": "KAFKA_SSL_KEY_LOCATION",
}
_POSTGRES_OPTIONS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "connect_timeout", "application_name"}
    | {"target_session_attrs", "channel_binding", "options"}
)


def elasticsearch(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert an Elasticsearch Connection; its schema may be ``http`` or ``https``.

    Extras: ``api_key``, ``ca_certs``, ``verify_certs``.
    """
    scheme, host, port, path = _address(conn_id, conn)
    if path:
        raise SettingsError(f"Connection {conn_id}: a path in the host is not supported")
    extra = _extra(conn_id, conn)
    return {
        "ELASTICSEARCH_HOST": host,
        "ELASTICSEARCH_PORT": port,
        "ELASTICSEARCH_SCHEME": scheme,
        "ELASTICSEARCH_USER": conn.login or "",
        "ELASTICSEARCH_PASSWORD": conn.password or "",
        "ELASTICSEARCH_API_KEY": _text(extra.get("api_key")),
        "ELASTICSEARCH_CA_CERTS": _text(extra.get("ca_certs")),
        "ELASTICSEARCH_VERIFY_CERTS": _text(extra.get("verify_certs")),
    }


def kafka(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert a Kafka Connection; its extra is a configuration of librdkafka.

    Host and port are used if the extra has no ``bootstrap.servers``. Unsupported keys are ignored;
    a warning is logged if they concern security.
    """
    extra = _extra(conn_id, conn)
    if conn.host and "bootstrap.servers" not in extra:
        extra["bootstrap.servers"] = f"{conn.host}:{conn.port or 9092}"
    if not extra.get("bootstrap.servers"):
        raise SettingsError(
            f"Connection {conn_id} has no bootstrap.servers in its extra and no host"
        )
    found = dict.fromkeys(_KAFKA.values(), "")
    found |= {_KAFKA[key]: _text(value) for key, value in extra.items() if key in _KAFKA}
    for variable in ("KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"):
        found[variable] = found[variable].upper()  # librdkafka accepts upper and lower case
    unknown = [k for k in extra if k not in _KAFKA and k.startswith(("sasl.", "ssl.", "security."))]
    if unknown:
        log.warning(
            "Connection %s: these keys are not supported: %s", conn_id, ", ".join(sorted(unknown))
        )
    return found


def postgres(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert a PostgreSQL Connection; options such as ``sslmode`` are taken from its extra."""
    from sqlalchemy.engine import URL

    missing = [name for name in ("host", "login", "schema") if not getattr(conn, name)]
    if missing:
        raise SettingsError(f"Connection {conn_id} has no {', no '.join(missing)}")
    options = {
        key: _text(value)
        for key, value in _extra(conn_id, conn).items()
        if key in _POSTGRES_OPTIONS
    }
    url = URL.create(
        "postgresql+psycopg2",
        username=conn.login,
        password=conn.password,
        host=conn.host,
        port=conn.port,
        database=conn.schema,
        query=options,
    )
    return {"VIGIE_DATABASE_URL": url.render_as_string(hide_password=False)}


def mlflow(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert an MLflow Connection; its extra may contain a ``token``."""
    return {
        "MLFLOW_TRACKING_URI": _url(conn_id, conn, ""),
        "MLFLOW_TRACKING_USERNAME": conn.login or "",
        "MLFLOW_TRACKING_PASSWORD": conn.password or "",
        "MLFLOW_TRACKING_TOKEN": _text(_extra(conn_id, conn).get("token")),
    }


def pushgateway(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert a Pushgateway Connection to a URL that contains the login."""
    return {"PROMETHEUS_PUSHGATEWAY_URL": _url(conn_id, conn, _login(conn))}


def gradio(conn_id: str, conn: ConnectionFields) -> dict[str, str]:
    """Convert a Gradio Connection; its password is the token of the Space."""
    return {"GRADIO_URL": _url(conn_id, conn, ""), "HF_TOKEN": conn.password or ""}


READERS: Mapping[str, Reader] = {
    "vigie_default": postgres,
    "elasticsearch_default": elasticsearch,
    "kafka_default": kafka,
    "mlflow_default": mlflow,
    "pushgateway_default": pushgateway,
    "gradio_default": gradio,
}


def _url(conn_id: str, conn: ConnectionFields, login: str) -> str:
    scheme, host, port, path = _address(conn_id, conn)
    return f"{scheme or 'http'}://{login}{host}{port and f':{port}'}{path}"


def _login(conn: ConnectionFields) -> str:
    if not conn.login:
        return ""
    return f"{quote(conn.login, safe='')}:{quote(conn.password or '', safe='')}@"


def _address(conn_id: str, conn: ConnectionFields) -> tuple[str, str, str, str]:
    """Return scheme, host, port and path; each except the host may be empty.

    The host may be a URL. The scheme is the first of the URL's scheme, the Connection's schema and
    its type that is ``http`` or ``https``.
    """
    host = (conn.host or "").strip()
    if not host:
        raise SettingsError(f"Connection {conn_id} has no host")
    try:
        parts = urlsplit(host if "://" in host else f"//{host}")
        port = parts.port or conn.port or ""
    except ValueError:
        raise SettingsError(f"Connection {conn_id}: the host or the port is invalid") from None
    schemes = (parts.scheme, (conn.schema or "").strip("/"), conn.conn_type or "")
    scheme = next((word for word in schemes if word in ("http", "https")), "")
    name = parts.hostname or ""
    return scheme, f"[{name}]" if ":" in name else name, str(port), parts.path.rstrip("/")


def _extra(conn_id: str, conn: ConnectionFields) -> dict[str, Any]:
    """Parse a Connection's "extra" field.

    Airflow's ``extra_dejson`` is not used: it ignores invalid JSON, and it blocks in a trigger.
    """
    try:
        extra = json.loads(conn.extra or "{}")
    except ValueError:
        raise SettingsError(f'Connection {conn_id}: the field "extra" is not JSON') from None
    if not isinstance(extra, dict):
        raise SettingsError(f'Connection {conn_id}: the field "extra" is not a JSON object')
    return extra


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
