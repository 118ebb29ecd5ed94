"""The questions of ``vigie check``: each returns a version, or raises one of our errors.

No slow client library is imported (mlflow alone takes 3 s): plain HTTP, one login, and Kafka's.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from vigie.encoding import without_login
from vigie.errors import SettingsError, TransientError
from vigie.local import probes
from vigie.settings import MlflowSettings

_NOT_UP = "the local platform has not been started here yet"


def postgres(url: str) -> str:
    """Log in with a SQLAlchemy URL."""
    if not url:
        raise TransientError(_NOT_UP)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("VIGIE_DATABASE_URL is not a SQLAlchemy URL") from None
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg2.connect(plain, connect_timeout=3)
    except psycopg2.Error as exc:
        reason = str(exc).strip().partition("\n")[0]
        raise TransientError(f"PostgreSQL did not let us in: {reason}") from exc
    version = connection.server_version
    connection.close()
    return f"PostgreSQL {version // 10000}.{version % 10000}"


def kafka(servers: str, security: Mapping[str, str]) -> str:
    """Ask the cluster who it is (its protocol does not tell a version)."""
    from vigie.adapters.kafka_client import KafkaCluster

    return KafkaCluster(servers, security, outage_s=0).describe()


def mlflow(settings: MlflowSettings) -> str:
    """Ask a real question, because ``/health`` answers whatever is wrong.

    Raises
    ------
    SettingsError
        The login is wrong, or there is none and the server asks for one.
    """
    if settings.tracking_uri is None:
        raise TransientError(_NOT_UP)
    url, headers = settings.tracking_uri.rstrip("/"), _authorization(settings.login())

    def refused(words: str) -> SettingsError:
        from vigie.adapters.mlflow_errors import refused

        return refused(url, words)

    question = f"{url}/api/2.0/mlflow/experiments/search?max_results=1"
    probes.get(question, headers=headers, refused=refused)
    return f"MLflow {probes.get(f'{url}/version', headers=headers, refused=refused)}"


def _authorization(login: Mapping[str, str]) -> dict[str, str]:
    """Return the header that MLflow's client would send."""
    if token := login.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if not login:
        return {}
    pair = f"{login['MLFLOW_TRACKING_USERNAME']}:{login['MLFLOW_TRACKING_PASSWORD']}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def pushgateway(url: str) -> str:
    """Ask whether it is ready; a login is in the address, as the sink sends it."""
    base = url if "://" in url else f"http://{url}"

    def refused(words: str) -> SettingsError:
        told = without_login(base)
        return SettingsError(f"{told} refused us: {words}; check PROMETHEUS_PUSHGATEWAY_URL")

    probes.get(f"{base}/-/ready", refused=refused)
    return "ready"


def airflow(url: str | None) -> str:
    """Ask for the health of every part of Airflow."""
    if url is None:
        raise TransientError(_NOT_UP)
    probes.probe_airflow(url)
    return f"Airflow {probes.get(f'{url}/api/v2/version')['version']}"


def serving(url: str | None) -> str:
    if url is None:
        raise TransientError(_NOT_UP)
    probes.get(f"{url.rstrip('/')}/config")  # any Gradio app has it, ours and that of a Space
    return f"answers at {url}"


def folder(path: Path) -> str:
    """Find out whether we may write in a folder (or where it would be made)."""
    existing = path
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        raise SettingsError(f"{existing} is not writable")
    return str(path)
