"""The retraining loop on real rows, every store in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vigie.jobs.retrain_model import retrain_model
from vigie.models.catalog import get_model
from vigie.models.model_file import ModelFile
from vigie.testing import FakeServices


@pytest.fixture
def model(services: FakeServices, project_root: Path) -> ModelFile:
    shutil.copy(project_root / "models" / "breast_cancer.toml", services.paths.models)
    return get_model(services.paths.models, "breast_cancer")


def test_a_first_champion_comes_from_the_reference_alone(
    services: FakeServices, model: ModelFile
) -> None:
    report = retrain_model(services, model=model, run_id="r1")
    assert report.promoted
    assert services.deployments.champion("breast_cancer").version == report.version == 1
    assert services.bundles.read_champion("breast_cancer").version == 1
    assert services.tracker.alias("breast_cancer", "champion") == 1
    kinds = [d.kind for d in services.ledger.decisions(run_id="r1")]
    assert kinds[::-1] == ["trigger", "select", "gate", "promote"]
