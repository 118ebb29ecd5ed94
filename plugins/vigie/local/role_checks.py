"""The checks of ``vigie check``: backend, probe and advice for each role."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from vigie.errors import PermanentError, SettingsError, TransientError, VigieError
from vigie.local import check_probes as probes
from vigie.local.connection_check import connection_differences
from vigie.local.state import Platform
from vigie.records import ServiceStatus
from vigie.settings import Settings

_UP = "run: vigie up"
_TASKS_ADDRESS = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_BASE_URL = "AIRFLOW__API__BASE_URL"


@dataclass(frozen=True, slots=True)
class RoleCheck:
    """A role with its backend and a probe, which returns a description or raises a VigieError."""

    role: str
    backend: str
    variable: str
    probe: Callable[[], str]
    advice: str = _UP
    place: str = ""  # host and port that the probe connects to, without a login

    def run(self, settings: Settings) -> ServiceStatus:
        """Run the probe; return the status of the role with the probe's result or error."""
        begin = time.monotonic()
        try:
            detail = self.probe()
        except VigieError as exc:
            return self._failed(settings, exc)
        return replace(
            self._status(settings), detail=detail, latency_ms=(time.monotonic() - begin) * 1000
        )

    def _failed(self, settings: Settings, problem: VigieError) -> ServiceStatus:
        return replace(
            self._status(settings),
            ok=False,
            detail=str(problem),
            advice=self.advice,
            is_permanent=isinstance(problem, PermanentError),
        )

    def timed_out(self, settings: Settings, waited_s: float) -> ServiceStatus:
        """Return the status of a probe that did not finish before the deadline."""
        message = f"no answer within {waited_s:g} s from {self.place or self.backend}"
        return self._failed(settings, TransientError(message))

    def _status(self, settings: Settings) -> ServiceStatus:
        source = settings.source(self.variable)
        return ServiceStatus(self.role, self.backend, True, "", None, source)


def role_checks(settings: Settings, platform: Platform | None) -> list[RoleCheck]:
    """Return a check for each role, in the order in which ``vigie check`` prints them."""
    records = _records(settings)
    return [
        records,
        _log_index(settings, records),
        _stream(settings, records),
        _tracking(settings),
        _metrics(settings),
        _orchestration(platform),
        _serving(settings),
        RoleCheck(
            "model bundles",
            "folder",
            "ARTIFACTS_DIR",
            lambda: probes.folder(settings.paths.artifacts),
            "make the folder writable, or set ARTIFACTS_DIR",
        ),
    ]


def _records(settings: Settings) -> RoleCheck:
    secret = settings.database.url
    url = secret.get_secret_value() if secret else ""
    is_embedded = settings.source("VIGIE_DATABASE_URL") in ("platform.toml", "default")
    return RoleCheck(
        "records",
        "embedded PostgreSQL" if is_embedded else "PostgreSQL server",
        "VIGIE_DATABASE_URL",
        lambda: probes.postgres(url),
        _UP if is_embedded else "start the server, or correct VIGIE_DATABASE_URL",
        probes.place(url),
    )


def _log_index(settings: Settings, records: RoleCheck) -> RoleCheck:
    found = settings.elasticsearch
    if not found.host:
        name = f"tables in {records.backend} (one machine)"
        return replace(records, role="log index", backend=name, variable="ELASTICSEARCH_HOST")
    place = probes.place(found.host)
    return RoleCheck(
        "log index",
        "Elasticsearch",
        "ELASTICSEARCH_HOST",
        lambda: probes.elasticsearch(found),
        "start Elasticsearch, or unset ELASTICSEARCH_HOST for the embedded index",
        place if ":" in place else f"{place}:{found.port}",
    )


def _stream(settings: Settings, records: RoleCheck) -> RoleCheck:
    servers = settings.stream.bootstrap_servers
    name = f"tables in {records.backend} (one machine)"
    if not servers:
        return replace(records, role="stream", backend=name, variable="KAFKA_BOOTSTRAP_SERVERS")
    return RoleCheck(
        "stream",
        "Kafka",
        "KAFKA_BOOTSTRAP_SERVERS",
        lambda: probes.kafka(settings.stream),
        "start Kafka, or unset KAFKA_BOOTSTRAP_SERVERS for the embedded stream",
        servers,
    )


def _tracking(settings: Settings) -> RoleCheck:
    if not settings.mlflow.enabled:
        off = "trainings and models are not tracked"
        return RoleCheck("tracking", "off (null tracker)", "MLFLOW_ENABLED", lambda: off)
    is_local = settings.source("MLFLOW_TRACKING_URI") in ("platform.toml", "default")
    return RoleCheck(
        "tracking",
        "MLflow server",
        "MLFLOW_TRACKING_URI",
        lambda: probes.mlflow(settings.mlflow),
        _UP if is_local else "start the server, correct its login, or set MLFLOW_ENABLED=false",
        probes.place(settings.mlflow.tracking_uri or ""),
    )


def _metrics(settings: Settings) -> RoleCheck:
    url = settings.metrics.pushgateway_url
    if not url:
        folder = settings.paths.local / "metrics"
        variable = "PROMETHEUS_PUSHGATEWAY_URL"
        advice = "make the folder writable, or set PROMETHEUS_PUSHGATEWAY_URL"
        return RoleCheck("metrics", "text files", variable, lambda: probes.folder(folder), advice)
    return RoleCheck(
        "metrics",
        "Pushgateway",
        "PROMETHEUS_PUSHGATEWAY_URL",
        lambda: probes.pushgateway(url),
        "start the Pushgateway, or unset PROMETHEUS_PUSHGATEWAY_URL",
        probes.place(url),
    )


def _orchestration(platform: Platform | None) -> RoleCheck:
    variable, url = _airflow_address()
    advice = "start Airflow's api-server" if url else _UP
    url = url or (platform.url("airflow") if platform else None)
    place = probes.place(url or "")
    return RoleCheck(
        "orchestration", "Airflow", "", lambda: probes.airflow(url, variable), advice, place
    )


def _airflow_address() -> tuple[str, str | None]:
    """Return the variable that contains Airflow's URL, and the URL.

    The URL for tasks takes precedence, because the base URL is meant for browsers and may not be
    reachable from a container.
    """
    if tasks := os.environ.get(_TASKS_ADDRESS):
        return _TASKS_ADDRESS, tasks.removesuffix("/").removesuffix("/execution")
    return _BASE_URL, os.environ.get(_BASE_URL) or None


def _serving(settings: Settings) -> RoleCheck:
    url = settings.gradio.url
    probe, place = partial(probes.serving, url), probes.place(url or "")
    is_local = settings.source("GRADIO_URL") in ("platform.toml", "default")
    advice = _UP if is_local else "start the app, or correct GRADIO_URL"
    return RoleCheck("serving", "FastAPI + Gradio", "GRADIO_URL", probe, advice, place)


def connection_check(platform: Platform, settings: Settings) -> RoleCheck:
    """Return a check that compares Airflow Connections with the settings of this shell."""

    def compare() -> str:
        if differing := connection_differences(platform, settings):
            raise SettingsError("; ".join(differing))
        return "same as this shell"

    place = probes.place(platform.url("airflow"))
    return RoleCheck("connections", "Airflow", "", compare, place=place)
