"""The current code reads the rows and bundles of an older platform and continues its jobs.

``takeover/`` contains the ``pg_dump`` and the artifacts of a platform with the first schema that
retrained, rolled back, collected, ingested, scored and grouped. Do not regenerate these files with
newer code.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from vigie import state_keys
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.group_incidents import group_incidents
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.collection.ingest_logs import ingest_logs
from vigie.local.postgres import EmbeddedPostgres
from vigie.models.catalog import get_model
from vigie.models.model_file import Gate
from vigie.registry.explain_decisions import explain_decisions
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.registry.rollback_model import rollback_model
from vigie.retraining.retrain_model import retrain_model
from vigie.settings import Settings
from vigie.testing.sources import FakeApiLogs
from vigie.training.servable_files import unpack
from vigie.wiring import LazyServices, open_services, upgrade_database

DATA = Path(__file__).parent / "takeover"
MODEL, DETECTOR = "breast_cancer", "log_isolation_forest"
TOPIC, GROUP, INDEX = "clogs", "vigie", "mozilla-clogs-index"


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a database with the rows of the older platform."""
    name = f"old_{secrets.token_hex(6)}"
    admin = sa.create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine = sa.create_engine(postgres.url(name))
    with engine.begin() as connection:
        connection.connection.cursor().execute((DATA / "database.sql").read_text("utf-8"))
    engine.dispose()
    yield postgres.url(name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def services(
    old_url: str, tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LazyServices]:
    """Migrate the database as ``vigie up`` does and open it with the older platform's artifacts."""
    with tarfile.open(DATA / "artifacts.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "models").mkdir()
    shutil.copy(project_root / "models" / f"{MODEL}.toml", tmp_path / "models")
    for name, value in {
        "VIGIE_HOME": str(tmp_path),
        "VIGIE_DATABASE_URL": old_url,
        "MLFLOW_ENABLED": "false",
    }.items():
        monkeypatch.setenv(name, value)
    upgrade_database(old_url)
    with open_services(Settings.from_env()) as opened:
        yield opened


def test_the_champion_and_its_history_are_read(services: LazyServices) -> None:
    history = services.deployments.history(MODEL)
    assert [(d.number, d.version) for d in history] == [(3, 1), (2, 2), (1, 1)]
    assert services.deployments.champion(MODEL) == history[0]
    assert services.bundles.read_champion(MODEL) == history[0]
    result = reconcile_champion(services, model=MODEL)
    assert (result.repaired, result.problems) == ((), ())


def test_published_bundles_answer_as_before(services: LazyServices) -> None:
    assert services.bundles.versions(MODEL) == [1, 2]
    for version in (1, 2):
        servable = unpack(services.bundles.open(MODEL, version).files)
        assert servable.predict([services.predictions.get("t0").features])[0].label == "malignant"


def test_decisions_are_explained(services: LazyServices) -> None:
    result = explain_decisions(services, model=MODEL)
    assert [d.kind for d in result.decisions] == [
        "rollback",
        *("promote", "gate", "select", "trigger"),
        *("promote", "gate", "select", "trigger"),
    ]
    newest = result.decisions[0]
    assert (newest.actor, newest.reasons[0], newest.evidence["to"]) == ("ana", "latency", 1)
    at = result.deployments[1].deployed_at
    assert explain_decisions(services, model=MODEL, at=at).champion == result.deployments[1]


def test_predictions_and_labels_are_counted(services: LazyServices) -> None:
    assert services.predictions.count(MODEL) == 12
    assert [p.offset for p in services.predictions.page(0, 100)] == list(range(12))
    assert (services.labels.count(MODEL), services.labels.count_unused(MODEL)) == (11, 3)
    assert [label.seq for label in services.labels.history("t0")] == [1, 2]


def test_a_run_that_had_claimed_its_rows_is_completed(services: LazyServices) -> None:
    model = get_model(services.paths.models, MODEL)
    training = dataclasses.replace(model.training, candidates=("logistic_regression",))
    easy = dataclasses.replace(model, training=training, gate=Gate(min_gain=-1.0, tolerance=1.0))
    assert services.labels.claim(MODEL, "r2") == 2
    result = retrain_model(services, model=easy, run_id="r2", force=True)
    assert result.version == 3
    assert services.labels.count_unused(MODEL) == 1
    assert rollback_model(services, model=MODEL, actor="ana").version == 1


def test_the_collector_continues_at_its_cursor(services: LazyServices) -> None:
    assert services.index.count("ml-api-logs") == 7
    services.__dict__["api_logs"] = FakeApiLogs(services.predictions)
    result = ingest_logs(services, limit=100)
    assert (result.read, result.offset, result.restarted) == (5, 12, False)
    assert services.index.count("ml-api-logs") == 12


def test_scoring_continues_at_the_committed_offset(services: LazyServices) -> None:
    assert services.stream.lag(GROUP, TOPIC) == 10
    assert services.index.count(INDEX) == 110
    assert champion_detector(services, DETECTOR).version == 1
    result = score_stream(services, topic=TOPIC, group=GROUP, index=INDEX, detector=DETECTOR)
    assert (result.read, result.indexed, result.warming_up) == (10, 10, 0)
    assert services.index.count(INDEX) == 120
    assert group_incidents(services, topic=TOPIC, index=INDEX).incidents == 0


def test_every_state_key_is_known(services: LazyServices) -> None:
    state = services.state
    assert state.get(state_keys.collector_cursor("api"))["offset"] == 7
    assert state.get(state_keys.last_training(MODEL))["run_id"] == "r1"
    assert state.get(state_keys.trigger_streaks(MODEL))["run_id"] == "r1"
    assert state.get(state_keys.rollback_target(MODEL))["version"] == 1
    assert state.get(state_keys.merged_table(MODEL, "r1"))
    assert state.get(state_keys.model_version(MODEL, "r1")) == {"version": 2}
    assert state.get(state_keys.detector_version(DETECTOR, "d0")) == {"version": 1}
    assert state.get(state_keys.pending_incidents(INDEX, TOPIC, 0))["number"] == 1
    assert state.get(state_keys.grouped_incidents(INDEX, TOPIC, 0))["number"] == 1
    assert state.forget(state_keys.ingested_file(TOPIC)) == 1
