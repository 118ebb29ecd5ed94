"""Secrets of the settings appear in no log, report, table, file or response (real stores)."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from vigie.collection.ingest_logs import ingest_logs
from vigie.errors import TransientError
from vigie.local.check import check_roles
from vigie.models.catalog import get_model
from vigie.models.reference import unseen_rows
from vigie.monitoring.push_metrics import push_metrics
from vigie.records import JobResult
from vigie.reports.decide_drift import decide_drift
from vigie.reports.window import Period, ReportRun
from vigie.retraining.evaluate_triggers import evaluate_triggers
from vigie.retraining.retrain_model import retrain_model
from vigie.serving.app import create_app
from vigie.settings import Settings
from vigie.testing.sources import FakeApiLogs
from vigie.testing.telemetry import FakeTracker
from vigie.wiring import LazyServices, open_services

NAME = "breast_cancer"
TOKEN, KEY, PASSWORD = "hf_CANARY_token", "CANARY-key", "CANARY p@ss/word"
CANARIES = (TOKEN, KEY, PASSWORD, quote(PASSWORD, safe=""))


class Output:
    """All texts that the platform produced."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def leaks(self) -> list[str]:
        return [text[:300] for text in self.texts if any(canary in text for canary in CANARIES)]


@pytest.fixture
def environment(
    database_url: str, tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Set canaries as the password of a database user, as the token and as the API key."""
    url = sa.make_url(database_url)
    admin = sa.create_engine(database_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE ROLE canary SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
    named = url.set(username="canary", password=PASSWORD).render_as_string(hide_password=False)
    values = {"VIGIE_HOME": str(tmp_path), "VIGIE_DATABASE_URL": named, "VIGIE_API_KEY": KEY}
    for variable, value in (values | {"HF_TOKEN": TOKEN, "MLFLOW_ENABLED": "false"}).items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "models").mkdir()
    shutil.copy(project_root / "models" / f"{NAME}.toml", tmp_path / "models")
    yield
    with admin.connect() as connection:
        connection.execute(sa.text("DROP ROLE canary"))
    admin.dispose()


def work(services: LazyServices, output: Output) -> None:
    """Train, predict, send feedback, collect, decide, push metrics."""
    model = get_model(services.paths.models, NAME)
    reports: list[JobResult] = [retrain_model(services, model=model, run_id="r1")]
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        row = unseen_rows(model, services.paths.data).iloc[0].to_dict()
        actual = row.pop(model.target)
        for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": KEY}):
            answer = client.post("/predict", json={"features": row}, headers=headers)
            output.texts += [answer.text, str(answer.headers)]
        feedback = {"transaction_id": answer.json()["transaction_id"], "actual": actual}
        for body in (feedback, {**feedback, "transaction_id": "nobody"}, {}):
            output.texts.append(client.post("/feedback", json=body, headers=headers).text)
        for path in ("/health", "/ready", "/model", "/metrics", "/openapi.json", "/docs", "/none"):
            output.texts.append(client.get(path).text)
    reports.append(ingest_logs(services, limit=10))
    reports.append(evaluate_triggers(services, model=model, run_id="r2"))
    period = Period(services.now() - timedelta(hours=1), services.now())
    run = ReportRun(model=model, period=period, run_id="r3")
    reports.append(decide_drift(services, run=run))
    plain = [report.as_xcom() for report in reports]
    plain.append(push_metrics(services, dag_id="d", results=plain, failed_tasks=0).as_xcom())
    output.texts.append(json.dumps(plain))


def tables(services: LazyServices) -> Iterator[str]:
    with services.engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            rows = connection.execute(sa.text(f'SELECT t::text FROM "{table}" AS t')).scalars()
            yield from rows


@pytest.mark.usefixtures("environment")
def test_no_canary_is_found_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    output, tracker, settings = Output(), FakeTracker(), Settings.from_env()
    with open_services(settings) as services:
        services.api_logs = FakeApiLogs(services.predictions)
        services.tracker = tracker
        work(services, output)
        output.texts += tables(services)
    output.texts += [repr(settings), str(check_roles(settings).statuses), repr(tracker.runs)]
    output.texts += failures(monkeypatch)
    output.texts += [record.getMessage() + str(record.exc_text) for record in caplog.records]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    output.texts += [path.read_bytes().decode("latin-1") for path in files]
    assert len(files) > 5
    for known in (f"{NAME} v1", "the API key in the header", "no champion", '"ready":true'):
        assert any(known in text for text in output.texts), f"missing: {known}"
    assert output.leaks() == []


def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the messages when the database and the page are unavailable."""
    gone = f"postgresql+psycopg2://canary:{quote(PASSWORD, safe='')}@127.0.0.1:1/db"
    monkeypatch.setenv("VIGIE_DATABASE_URL", gone)
    monkeypatch.setenv("GRADIO_URL", "http://127.0.0.1:1/ui")
    messages = [str(check_roles(Settings.from_env()).statuses)]
    with open_services(Settings.from_env()) as services:
        for ask in (services.api_logs.check, services.predictions.count):
            with pytest.raises(TransientError) as caught:
                ask()
            messages += [str(caught.value), repr(caught.value.__cause__)]
    return messages
