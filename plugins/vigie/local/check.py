"""``vigie check``: what each role uses, whether it answers, and what to do when it does not.

Every question has a time limit and all are asked at once, so the answer takes less than five
seconds whatever is down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from vigie.errors import PermanentError, VigieError
from vigie.local import check_probes as probes
from vigie.local.environments import differences
from vigie.local.es_probe import elasticsearch
from vigie.local.state import Platform, read_platform
from vigie.local.supervision import Supervisor
from vigie.records import ServiceStatus
from vigie.settings import Settings

_UP = "run: vigie up"


@dataclass(frozen=True, slots=True)
class Question:
    """A role, what it uses, and a probe that returns a version or raises one of our errors."""

    role: str
    backend: str
    variable: str
    probe: Callable[[], str]
    advice: str = _UP


def check_everything(settings: Settings) -> list[ServiceStatus]:
    """Ask every role; the order is that of the design's table."""
    platform = read_platform(settings.paths.root)
    questions = _questions(settings, platform)
    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(lambda question: _ask(question, settings), questions))
    return [*answers, *_shell(platform)]


def _ask(question: Question, settings: Settings) -> ServiceStatus:
    begin = time.monotonic()
    source = settings.source(question.variable)
    status = ServiceStatus(question.role, question.backend, True, "", None, source)
    try:
        detail = question.probe()
    except VigieError as exc:
        return replace(
            status,
            ok=False,
            detail=str(exc),
            advice=question.advice,
            is_permanent=isinstance(exc, PermanentError),
        )
    return replace(status, detail=detail, latency_ms=(time.monotonic() - begin) * 1000)


def _questions(settings: Settings, platform: Platform | None) -> list[Question]:
    records = _records(settings)
    return [
        records,
        _log_index(settings, records),
        _stream(settings, records),
        _tracking(settings),
        _metrics(settings),
        _orchestration(platform),
        _serving(settings),
        Question(
            "model bundles",
            "folder",
            "ARTIFACTS_DIR",
            lambda: probes.folder(settings.paths.artifacts),
            "make the folder writable, or set ARTIFACTS_DIR",
        ),
    ]


def _records(settings: Settings) -> Question:
    secret = settings.database.url
    url = secret.get_secret_value() if secret else ""
    is_embedded = settings.source("VIGIE_DATABASE_URL") in ("platform.toml", "default")
    return Question(
        "records",
        "embedded PostgreSQL" if is_embedded else "PostgreSQL server",
        "VIGIE_DATABASE_URL",
        lambda: probes.postgres(url),
        _UP if is_embedded else "start that server, or correct VIGIE_DATABASE_URL",
    )


def _log_index(settings: Settings, records: Question) -> Question:
    found = settings.elasticsearch
    if not found.host:
        name = f"tables in {records.backend} (one machine)"
        return Question("log index", name, "ELASTICSEARCH_HOST", records.probe, records.advice)
    return Question(
        "log index",
        "Elasticsearch",
        "ELASTICSEARCH_HOST",
        lambda: elasticsearch(found),
        "start Elasticsearch, or unset ELASTICSEARCH_HOST for the embedded index",
    )


def _stream(settings: Settings, records: Question) -> Question:
    servers = settings.stream.bootstrap_servers
    name = f"tables in {records.backend} (one machine)"
    if not servers:
        return Question("stream", name, "KAFKA_BOOTSTRAP_SERVERS", records.probe, records.advice)
    return Question(
        "stream",
        "Kafka",
        "KAFKA_BOOTSTRAP_SERVERS",
        lambda: probes.kafka(servers, settings.stream.security()),
        "start Kafka, or unset KAFKA_BOOTSTRAP_SERVERS for the embedded stream",
    )


def _tracking(settings: Settings) -> Question:
    if not settings.mlflow.enabled:
        off = "runs and models are not tracked"
        return Question("tracking", "off (null tracker)", "MLFLOW_ENABLED", lambda: off)
    is_ours = settings.source("MLFLOW_TRACKING_URI") in ("platform.toml", "default")
    return Question(
        "tracking",
        "MLflow server",
        "MLFLOW_TRACKING_URI",
        lambda: probes.mlflow(settings.mlflow),
        _UP if is_ours else "start that server, correct its login, or set MLFLOW_ENABLED=false",
    )


def _metrics(settings: Settings) -> Question:
    url = settings.metrics.pushgateway_url
    if not url:
        folder = settings.paths.local / "metrics"
        variable = "PROMETHEUS_PUSHGATEWAY_URL"
        return Question("metrics", "text files", variable, lambda: probes.folder(folder))
    return Question(
        "metrics",
        "Pushgateway",
        "PROMETHEUS_PUSHGATEWAY_URL",
        lambda: probes.pushgateway(url),
        "start the Pushgateway, or unset PROMETHEUS_PUSHGATEWAY_URL",
    )


def _orchestration(platform: Platform | None) -> Question:
    # In a container Airflow's own setting says where it is; on a laptop the platform's file does.
    url = os.environ.get("AIRFLOW__API__BASE_URL") or (
        platform.url("airflow") if platform else None
    )
    return Question("orchestration", "Airflow", "", lambda: probes.airflow(url))


def _serving(settings: Settings) -> Question:
    url = settings.gradio.url
    return Question("serving", "FastAPI + Gradio", "GRADIO_URL", lambda: probes.serving(url))


def _shell(platform: Platform | None) -> list[ServiceStatus]:
    """Say whether this shell would do something else than the running platform does."""
    if platform is None or not Supervisor(platform).is_running():
        return []
    changed = differences(platform)
    if not changed:
        return [ServiceStatus("settings", "this shell", True, "as the platform was started")]
    detail = f"this shell differs from the running platform in {', '.join(changed)} (vigie up)"
    return [ServiceStatus("settings", "this shell", True, detail)]
