"""Kill a retraining at each crash point, then run it again, on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from vigie.models.catalog import get_model
from vigie.models.model_file import Gate, ModelFile
from vigie.models.reference import unseen_rows
from vigie.records import Prediction
from vigie.retraining.retrain_model import retrain_model
from vigie.settings import Settings
from vigie.wiring import LazyServices, open_services

NAME = "breast_cancer"
N_LABELLED = 60
POINTS = (
    "merge_after_claim",
    "stage_before_report.json",
    "before_publish_rename",
    "promote_after_publish",
    "promote_after_deploy",
    "archive_after_write",
)
RUN = """
import dataclasses, sys
from vigie.retraining.retrain_model import retrain_model
from vigie.models.catalog import get_model
from vigie.models.model_file import Gate
from vigie.settings import Settings
from vigie.wiring import open_services

with open_services(Settings.from_env()) as services:
    model = get_model(services.paths.models, "breast_cancer")
    easy = dataclasses.replace(model, gate=Gate(min_gain=-1.0, tolerance=1.0))
    retrain_model(services, model=easy, run_id=sys.argv[1], force=True)
"""


@pytest.fixture
def environment(
    tmp_path: Path, database_url: str, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    models = tmp_path / "models"
    models.mkdir()
    text = (project_root / "models" / f"{NAME}.toml").read_text()
    text = text.replace('["logistic_regression", "random_forest", "xgboost"]', '["xgboost"]')
    (models / f"{NAME}.toml").write_text(text)
    values = {
        "VIGIE_HOME": str(tmp_path),
        "VIGIE_DATABASE_URL": database_url,
        "MLFLOW_ENABLED": "false",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def services(environment: dict[str, str]) -> Iterator[LazyServices]:
    """Return real stores with a champion and labelled rows."""
    with open_services(Settings.from_env()) as opened:
        model = get_model(opened.paths.models, NAME)
        retrain_model(opened, model=model, run_id="r0")
        rows = unseen_rows(model, opened.paths.data).head(N_LABELLED).to_dict("records")
        for i, row in enumerate(rows):
            actual = row.pop(model.target)
            at = opened.now()
            opened.predictions.add(Prediction(f"t{i}", NAME, 1, row, actual, 0.5, "", at, 1.0))
            opened.labels.add(f"t{i}", actual)
        yield opened


def easy(model: ModelFile) -> ModelFile:
    """Return the model with a gate that accepts every challenger with skill."""
    return dataclasses.replace(model, gate=Gate(min_gain=-1.0, tolerance=1.0))


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_the_champion_is_complete_and_a_retry_finishes(
    services: LazyServices, environment: dict[str, str], point: str
) -> None:
    killed = subprocess.run(
        [sys.executable, "-I", "-c", RUN, "r1"],
        cwd="/",
        env=os.environ | environment | {"VIGIE_CRASH_AT": point},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    meanwhile = services.deployments.champion(NAME)
    assert meanwhile is not None
    assert services.bundles.open(NAME, meanwhile.version).files["golden.json"]
    assert services.labels.count_unused(NAME) == N_LABELLED

    report = retrain_model(
        services,
        model=easy(get_model(services.paths.models, NAME)),
        run_id="r1",
        force=True,
    )
    assert report.version == 2
    assert [d.version for d in services.deployments.history(NAME)] == [2, 1]
    assert services.bundles.versions(NAME) == [1, 2]
    assert services.bundles.read_champion(NAME) == services.deployments.champion(NAME)
    assert services.labels.count_unused(NAME) == 0
    files = list((services.paths.data / "archive" / NAME).glob("prod_data_archived_*"))
    assert len(files) == 1
    assert sorted(pd.read_parquet(files[0])["row_id"]) == sorted(f"t{i}" for i in range(N_LABELLED))
    kinds = [d.kind for d in services.ledger.decisions(model=NAME, run_id="r1")]
    assert sorted(kinds) == ["gate", "promote", "select", "trigger"]


def test_a_concurrent_retraining_of_the_same_model_conflicts(
    services: LazyServices, environment: dict[str, str]
) -> None:
    with services.locks.hold(f"retrain:{NAME}"):
        other = subprocess.run(
            [sys.executable, "-I", "-c", RUN, "r1"],
            cwd="/",
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "ConflictError" in other.stderr
    assert services.ledger.decisions(run_id="r1") == []


ROLLBACK = """
import sys, time
started = time.monotonic()
from vigie.registry.rollback_model import rollback_model
from vigie.settings import Settings
from vigie.wiring import open_services

with open_services(Settings.from_env()) as services:
    report = rollback_model(services, model="breast_cancer", actor="test")
print(report.version, time.monotonic() - started, *report.notes)
"""


def test_a_rollback_with_mlflow_down_takes_less_than_five_seconds(
    services: LazyServices, environment: dict[str, str]
) -> None:
    first = services.bundles.open(NAME, 1)
    for version in (2, 3):
        services.bundles.publish(NAME, version, first.files, {**first.info, "mlflow_run": "abc"})
        services.deployments.deploy(
            NAME, version, expected_number=version - 1, actor="t", reason="t"
        )
    done = subprocess.run(
        [sys.executable, "-I", "-c", ROLLBACK],
        cwd="/",
        env=os.environ
        | environment
        | {"MLFLOW_ENABLED": "true", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    version, seconds, *notes = done.stdout.split(maxsplit=2)
    assert version == "2"
    assert "did not answer" in notes[0]
    assert float(seconds) < 5
