"""The questions of ``vigie check``: each returns a version, or raises one of our errors.

No slow client library is imported (mlflow alone takes 3 s): plain HTTP, one login, and Kafka's.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from vigie.addresses import without_login
from vigie.errors import SettingsError, TransientError
from vigie.local import probes
from vigie.settings import MlflowSettings

_GATEWAY = "PROMETHEUS_PUSHGATEWAY_URL"
_VERSION = re.compile(r"\d+\.\d+[\w.+-]{0,30}")
_NOT_UP = "the local platform has not been started here yet"


def place(url: str) -> str:
    """Return host and port of an address, and nothing else of it, for a message.

    Examples
    --------
    >>> place("http://me:secret@mlflow:5000/base"), place("mlflow:5000"), place("me:secret@gw:1")
    ('mlflow:5000', 'mlflow:5000', 'gw:1')
    """
    try:
        parsed = make_url(url if "://" in url else f"http://{url}")
    except (ArgumentError, ValueError):
        return "its address"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.host}{port}".rpartition("@")[2] if parsed.host else "its address"


def postgres(url: str) -> str:
    """Log in with a SQLAlchemy URL.

    Raises
    ------
    TransientError
        It does not answer.
    SettingsError
        The URL is none, or user, password or database are wrong.
    """
    if not url:
        raise TransientError(_NOT_UP)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("VIGIE_DATABASE_URL is not a SQLAlchemy URL") from None
    if "@" in (parsed.host or ""):  # the driver's message would tell the rest of the password
        raise SettingsError("VIGIE_DATABASE_URL: write @ in a password as %40")
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg2.connect(plain, connect_timeout=3)
    except psycopg2.Error as exc:
        from vigie.adapters.postgres.errors import translate  # half a second, for a failure alone

        raise translate(exc) from exc
    version = connection.server_version
    connection.close()
    return f"PostgreSQL {version // 10000}.{version % 10000}"


def kafka(servers: str, security: Mapping[str, str]) -> str:
    """Ask the cluster who it is (its protocol does not tell a version)."""
    from vigie.adapters.kafka.client import KafkaCluster

    return KafkaCluster(servers, security, outage_s=0).describe()


def mlflow(settings: MlflowSettings) -> str:
    """Ask a real question, because ``/health`` answers whatever is wrong.

    Raises
    ------
    SettingsError
        The login is wrong, or there is none and the server asks for one; or it is not MLflow.
    """
    if settings.tracking_uri is None:
        raise TransientError(_NOT_UP)
    url, headers = settings.tracking_uri.rstrip("/"), _authorization(settings.login())

    def refused(words: str) -> SettingsError:
        from vigie.adapters.tracking.errors import refused

        return refused(url, words)

    def ask(path: str) -> Any:
        variable = "MLFLOW_TRACKING_URI"
        return probes.get(f"{url}{path}", headers=headers, refused=refused, variable=variable)

    experiments = ask("/api/2.0/mlflow/experiments/search?max_results=1")
    version = str(ask("/version")).strip()
    if not isinstance(experiments, dict) or not _VERSION.fullmatch(version):
        raise _stranger(url, "MLflow", "MLFLOW_TRACKING_URI")
    return f"MLflow {version}"


def _stranger(url: str, wanted: str, variable: str) -> SettingsError:
    told = without_login(url)
    return SettingsError(f"what answers at {told} is not {wanted}; check {variable}")


def _authorization(login: Mapping[str, str]) -> dict[str, str]:
    """Return the header that MLflow's client would send."""
    if token := login.get("MLFLOW_TRACKING_TOKEN"):
        probes.check_header("MLFLOW_TRACKING_TOKEN", token)
        return {"Authorization": f"Bearer {token}"}
    if not login:
        return {}
    pair = f"{login['MLFLOW_TRACKING_USERNAME']}:{login['MLFLOW_TRACKING_PASSWORD']}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def pushgateway(url: str) -> str:
    """Ask whether it is ready; a login is in the address, as the sink sends it."""
    base, variable = (url if "://" in url else f"http://{url}").rstrip("/"), _GATEWAY

    def refused(words: str) -> SettingsError:
        return SettingsError(f"{without_login(base)} refused us: {words}; check {variable}")

    answer = probes.get(f"{base}/-/ready", refused=refused, variable=variable)
    if str(answer).lstrip().startswith("<"):  # a page: each gateway has its own word for "ready"
        raise _stranger(base, "a Pushgateway", variable)
    return "ready"


def airflow(url: str | None, variable: str) -> str:
    """Ask for the health of every part of Airflow; ``variable`` is what said where it is."""
    if url is None:
        raise TransientError(_NOT_UP)
    url = url.rstrip("/")
    probes.probe_airflow(url, variable)
    version = probes.part_of(probes.get(f"{url}/api/v2/version"), "version")
    if not isinstance(version, str):
        raise _stranger(url, "Airflow", variable)
    return f"Airflow {version}"


def serving(url: str | None) -> str:
    if url is None:
        raise TransientError(_NOT_UP)
    # any Gradio app has it, ours and that of a Space
    config = probes.get(f"{url.rstrip('/')}/config", variable="GRADIO_URL")
    if probes.part_of(config, "version") is None:
        raise _stranger(url, "a Gradio app", "GRADIO_URL")
    return f"answers at {without_login(url)}"


def folder(path: Path) -> str:
    """Find out whether we may write in a folder (or where it would be made)."""
    existing = path
    try:
        while not existing.exists():
            existing = existing.parent
    except OSError as exc:
        raise SettingsError(f"{existing} cannot be used ({exc.strerror})") from exc
    if not os.access(existing, os.W_OK | os.X_OK):
        raise SettingsError(f"{existing} is not writable")
    return str(path)
