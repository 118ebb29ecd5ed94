"""Addresses and settings of the Compose stack as a demo target, from ``.env`` and the shell."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from vigie.demo.stage import Target
from vigie.errors import SettingsError, TransientError
from vigie.setting_sources import read_dotenv
from vigie.settings import Settings

HOST = "127.0.0.1"
FILES = "docker compose -f docker-compose.yml -f docker-compose.ports.yml"
# The variable of each published port and its default, as in the two Compose files.
PORTS = {
    "airflow": ("AIRFLOW_PORT", 8083),
    "serving": ("VIGIE_SERVING_PORT", 8080),
    "mlflow": ("MLFLOW_PORT", 5000),
    "postgres": ("POSTGRES_PORT", 5432),
    "elasticsearch": ("ELASTICSEARCH_PORT", 9200),
    "kafka": ("KAFKA_PORT", 9092),
    "pushgateway": ("PUSHGATEWAY_PORT", 9091),
}
_SECRETS = (
    *("VIGIE_DB_PASSWORD", "VIGIE_ES_PASSWORD", "VIGIE_MLFLOW_PASSWORD"),
    "AIRFLOW_ADMIN_PASSWORD",
)
# Settings of other servers and folders in the environment, which do not apply to the stack.
_NOT_OURS = (
    *("ELASTICSEARCH_SCHEME", "ELASTICSEARCH_API_KEY", "ELASTICSEARCH_CA_CERTS"),
    *("KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME"),
    *("KAFKA_SASL_PASSWORD", "KAFKA_SSL_CA_LOCATION"),
    *("KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"),
    *("MLFLOW_TRACKING_TOKEN", "DATA_DIR", "ARTIFACTS_DIR", "REPORTS_DIR"),
)


def stack_variables(root: Path, shell: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of ``.env``, overridden by those of the shell, as Compose does.

    Raises
    ------
    SettingsError
        If a secret is missing, because ``make secrets`` has not been run.
    """
    layers = (read_dotenv(root), os.environ if shell is None else shell)
    known = {name: value for layer in layers for name, value in layer.items() if value}
    missing = [name for name in _SECRETS if name not in known]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)} not set in {root / '.env'}; "
            f"run: make secrets, then {FILES} up -d"
        )
    return known


def port(service: str, variables: Mapping[str, str]) -> int:
    """Return the published port of a service. Raises SettingsError for an invalid port.

    Examples
    --------
    >>> port("airflow", {}), port("airflow", {"AIRFLOW_PORT": "18083"})
    (8083, 18083)
    """
    variable, default = PORTS[service]
    text = variables.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"{variable} must be a port number from 1 to 65535, found {text!r}")
    return int(text)


def stack_settings(variables: Mapping[str, str]) -> Settings:
    """Return settings with the stack's services at their published ports."""
    at = {name: f"{HOST}:{port(name, variables)}" for name in PORTS}
    password = quote(variables["VIGIE_DB_PASSWORD"], safe="")
    values = {
        "VIGIE_DATABASE_URL": f"postgresql+psycopg2://vigie:{password}@{at['postgres']}/vigie",
        "ELASTICSEARCH_HOST": HOST,
        "ELASTICSEARCH_PORT": str(port("elasticsearch", variables)),
        "ELASTICSEARCH_USER": "vigie",
        "ELASTICSEARCH_PASSWORD": variables["VIGIE_ES_PASSWORD"],
        "KAFKA_BOOTSTRAP_SERVERS": at["kafka"],
        "MLFLOW_TRACKING_URI": f"http://{at['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": "vigie",
        "MLFLOW_TRACKING_PASSWORD": variables["VIGIE_MLFLOW_PASSWORD"],
        "PROMETHEUS_PUSHGATEWAY_URL": f"http://{at['pushgateway']}",
        "GRADIO_URL": f"http://{at['serving']}/ui",
        "VIGIE_SERVING_PORT": str(port("serving", variables)),
    }
    others = dict.fromkeys(_NOT_OURS, "")
    return Settings.from_env(values | others, override_source="the Compose stack")


def stack_target(root: Path, variables: Mapping[str, str]) -> Target:
    """Return the stack as the target of a demo; its task logs are the lines to score."""
    return Target(
        airflow_url=f"http://{HOST}:{port('airflow', variables)}",
        airflow_user=variables.get("AIRFLOW_ADMIN_USER") or "admin",
        airflow_password=variables["AIRFLOW_ADMIN_PASSWORD"],
        serving_url=f"http://{HOST}:{port('serving', variables)}",
        logs=root / "data" / "stack" / "logs",
        password_from="AIRFLOW_ADMIN_PASSWORD in .env",
        stop_with="docker compose down",
    )


def require_ports(variables: Mapping[str, str], timeout_s: float = 3) -> None:
    """Raise TransientError if any published port does not accept connections."""
    closed = []
    for name in PORTS:
        number = port(name, variables)
        try:
            socket.create_connection((HOST, number), timeout=timeout_s).close()
        except OSError:
            closed.append(f"{name} at {HOST}:{number}")
    if closed:
        raise TransientError(f"cannot connect to {', '.join(closed)}; run: {FILES} up -d")
