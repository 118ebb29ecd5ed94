"""The probes of ``vigie check``: each returns a description, or raises a VigieError.

The probes use plain HTTP, a database login and Kafka's client. Importing the client libraries of
MLflow and Elasticsearch would take several seconds.
"""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from vigie import wiring
from vigie.addresses import without_login
from vigie.errors import SettingsError, TransientError
from vigie.local import probes
from vigie.settings import ElasticsearchSettings, MlflowSettings, StreamSettings

_GATEWAY = "PROMETHEUS_PUSHGATEWAY_URL"
_VERSION = re.compile(r"\d+\.\d+[\w.+-]{0,30}")
_NOT_UP = "the local platform has not been started here yet"
#: Timeout of each of the two requests, so that the command takes less than five seconds.
_ELASTICSEARCH_S = 2


def place(url: str) -> str:
    """Return the host and port of an address for a message; "its address" if it is invalid.

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
    """Log in with a SQLAlchemy URL and return the version of the server.

    Raises
    ------
    TransientError
        If the server does not answer.
    SettingsError
        If the URL is invalid, or the user, password or database is wrong.
    """
    if not url:
        raise TransientError(_NOT_UP)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("VIGIE_DATABASE_URL is not a SQLAlchemy URL") from None
    if "@" in (parsed.host or ""):  # The driver's message would show the rest of the password.
        raise SettingsError("VIGIE_DATABASE_URL: write @ in a password as %40")
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg2.connect(plain, connect_timeout=3)
    except psycopg2.Error as exc:
        raise wiring.database_error(exc) from exc
    version = connection.server_version
    connection.close()
    return f"PostgreSQL {version // 10000}.{version % 10000}"


def kafka(settings: StreamSettings) -> str:
    """Return the cluster's id and number of brokers; Kafka's protocol reports no version."""
    return wiring.describe_kafka(settings)


def mlflow(settings: MlflowSettings) -> str:
    """Search the experiments and return the version of the server.

    ``/health`` is not sufficient, because it returns 200 even if the database is down.

    Raises
    ------
    SettingsError
        If the login is wrong or missing, or if the server is not MLflow.
    """
    if settings.tracking_uri is None:
        raise TransientError(_NOT_UP)
    url, headers = settings.tracking_uri.rstrip("/"), _authorization(settings.login())

    def refused(words: str) -> SettingsError:
        return wiring.tracking_refused(url, words)

    def ask(path: str) -> Any:
        variable = "MLFLOW_TRACKING_URI"
        return probes.get(f"{url}{path}", headers=headers, refused=refused, variable=variable)

    experiments = ask("/api/2.0/mlflow/experiments/search?max_results=1")
    version = str(ask("/version")).strip()
    if not isinstance(experiments, dict) or not _VERSION.fullmatch(version):
        raise _not_a(url, "MLflow", "MLFLOW_TRACKING_URI")
    return f"MLflow {version}"


def _not_a(url: str, wanted: str, variable: str) -> SettingsError:
    return SettingsError(f"the server at {without_login(url)} is not {wanted}; check {variable}")


def _authorization(login: Mapping[str, str]) -> dict[str, str]:
    """Return the header that MLflow's client would send; empty without a login."""
    if token := login.get("MLFLOW_TRACKING_TOKEN"):
        probes.check_header("MLFLOW_TRACKING_TOKEN", token)
        return {"Authorization": f"Bearer {token}"}
    if not login:
        return {}
    pair = f"{login['MLFLOW_TRACKING_USERNAME']}:{login['MLFLOW_TRACKING_PASSWORD']}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def elasticsearch(settings: ElasticsearchSettings) -> str:
    """Return the versions of the nodes, the cluster's name and its health.

    ``GET /`` is not requested, because a minimal node does not implement it.

    Raises
    ------
    TransientError
        If the server does not answer, returns an error status other than 401 and 403 or malformed
        JSON, or if the cluster's status is red (some documents cannot be read).
    SettingsError
        If the URL, API key or CA file is invalid, the server refuses the login, its certificate is
        not trusted, or a response is not one of Elasticsearch.
    """
    url, variable = settings.url, "ELASTICSEARCH_HOST"
    health = _ask_elasticsearch(settings, "/_cluster/health")
    cluster, state = probes.part_of(health, "cluster_name"), probes.part_of(health, "status")
    if not isinstance(cluster, str) or not isinstance(state, str):
        raise _not_a(url, "Elasticsearch", variable)
    detail = f"cluster {cluster}, {state}"
    if state == "red":
        raise TransientError(f"Elasticsearch at {url}: {detail}: a primary shard is missing")
    listed = _ask_elasticsearch(settings, "/_nodes?filter_path=nodes.*.version")
    nodes = probes.part_of(listed, "nodes")
    if not isinstance(nodes, dict):
        raise _not_a(url, "Elasticsearch", variable)
    versions = sorted({str(probes.part_of(node, "version")) for node in nodes.values()})
    return f"Elasticsearch {', '.join(versions)} ({detail}, nodes: {len(nodes)})"


def _ask_elasticsearch(settings: ElasticsearchSettings, path: str) -> Any:
    url = settings.url
    password = settings.password.get_secret_value() if settings.password else ""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    probes.check_header("ELASTICSEARCH_API_KEY", key)

    def refused(words: str) -> SettingsError:
        return SettingsError(
            f"{url} refused the login ({words}): check ELASTICSEARCH_USER, "
            "ELASTICSEARCH_PASSWORD or ELASTICSEARCH_API_KEY"
        )

    return probes.get(
        f"{url}{path}",
        timeout_s=_ELASTICSEARCH_S,
        headers={"Authorization": f"ApiKey {key}"} if key else None,
        auth=(settings.user, password) if settings.user else None,
        verify=_verify(settings, url),
        refused=refused,
        variable="ELASTICSEARCH_HOST",
        ca="ELASTICSEARCH_CA_CERTS",
    )


def _verify(settings: ElasticsearchSettings, url: str) -> ssl.SSLContext | bool:
    if not (settings.verify_certs and settings.ca_certs and url.startswith("https:")):
        return settings.verify_certs
    try:
        return ssl.create_default_context(cafile=settings.ca_certs)
    except OSError as exc:
        raise SettingsError(f"ELASTICSEARCH_CA_CERTS ({settings.ca_certs}): {exc}") from exc


def pushgateway(url: str) -> str:
    """Return ``ready`` if the gateway is ready; the URL may contain a login."""
    base, variable = (url if "://" in url else f"http://{url}").rstrip("/"), _GATEWAY

    def refused(words: str) -> SettingsError:
        return SettingsError(f"{without_login(base)} refused the login: {words}; check {variable}")

    answer = probes.get(f"{base}/-/ready", refused=refused, variable=variable)
    # The text differs between Pushgateway versions, but it is never HTML.
    if str(answer).lstrip().startswith("<"):
        raise _not_a(base, "a Pushgateway", variable)
    return "ready"


def airflow(url: str | None, variable: str) -> str:
    """Check every Airflow component and return the version; ``variable`` is the URL's setting."""
    if url is None:
        raise TransientError(_NOT_UP)
    url = url.rstrip("/")
    probes.probe_airflow(url, variable)
    version = probes.part_of(probes.get(f"{url}/api/v2/version"), "version")
    if not isinstance(version, str):
        raise _not_a(url, "Airflow", variable)
    return f"Airflow {version}"


def serving(url: str | None) -> str:
    """Check that a Gradio app answers at the URL, by requesting its configuration."""
    if url is None:
        raise TransientError(_NOT_UP)
    config = probes.get(f"{url.rstrip('/')}/config", variable="GRADIO_URL")
    if probes.part_of(config, "version") is None:
        raise _not_a(url, "a Gradio app", "GRADIO_URL")
    return f"responds at {without_login(url)}"


def folder(path: Path) -> str:
    """Check that a folder is writable; if it does not exist, check its nearest existing parent."""
    existing = path
    try:
        while not existing.exists():
            existing = existing.parent
    except OSError as exc:
        raise SettingsError(f"{existing} cannot be used ({exc.strerror})") from exc
    if not os.access(existing, os.W_OK | os.X_OK):
        raise SettingsError(f"{existing} is not writable")
    return str(path)
