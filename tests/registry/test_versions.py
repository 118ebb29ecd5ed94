"""Rollback, promotion by hand, reconciliation and explanation of versions."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from vigie.errors import (
    ConflictError,
    DataError,
    DiskFullError,
    NotEnoughDataError,
    TransientError,
)
from vigie.models.catalog import get_model
from vigie.models.model_file import Gate, ModelFile, Training
from vigie.registry.explain_decisions import explain_decisions
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.registry.rollback_model import rollback_model
from vigie.retraining.backup_current_model import backup_current_model
from vigie.retraining.merge_training_data import merge_training_data
from vigie.retraining.promotion import promote_version
from vigie.retraining.retrain_model import retrain_model
from vigie.testing import FakeServices
from vigie.testing.telemetry import FakeTracker

NAME = "breast_cancer"


@pytest.fixture
def model(services: FakeServices, project_root: Path) -> ModelFile:
    """Return a fast model with two versions; version 2 is the champion."""
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)
    quick = dataclasses.replace(
        get_model(services.paths.models, NAME),
        training=Training(candidates=("logistic_regression",)),
        gate=Gate(min_gain=-1.0, tolerance=1.0),
    )
    for run in ("r1", "r2"):
        retrain_model(services, model=quick, run_id=run, force=True, actor="airflow")
        services.clock.advance(hours=1)
    return quick


def damage(services: FakeServices, version: int) -> None:
    (services.paths.artifacts / NAME / f"v{version}" / "model.skops").write_bytes(b"damaged")


def test_a_new_database_over_old_artifacts_skips_published_versions(
    services: FakeServices, model: ModelFile, project_root: Path
) -> None:
    """The folder is kept, and the new database counts versions and deployments from 1 again."""
    anew = FakeServices(services.paths.root)
    anew.clock.set(services.clock())
    table = merge_training_data(services, model=model, run_id="r1").path
    table.write_bytes(b"rows of the old database")
    retrain_model(anew, model=model, run_id="r1", force=True, actor="airflow")
    champion = anew.deployments.champion(NAME)
    assert (champion.number, champion.version) == (1, 3)
    assert anew.bundles.open(NAME, 3).info["run_id"] == "r1"
    assert anew.bundles.read_champion(NAME) == champion
    assert reconcile_champion(anew, model=NAME).problems == ()


def test_a_version_of_another_run_is_never_deployed(
    services: FakeServices, model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another platform can publish to the folder between the allocation and the use of a number."""
    monkeypatch.setattr("vigie.registry.deploy._version_of_run", lambda *_: 2)
    with pytest.raises(ConflictError, match=r"v2 was published by run r2, .*ARTIFACTS_DIR"):
        retrain_model(services, model=model, run_id="r3", force=True, actor="airflow")
    assert services.deployments.champion(NAME).version == 2


def test_a_rollback_deploys_the_previous_champion(services: FakeServices, model: ModelFile) -> None:
    report = rollback_model(services, model=NAME, actor="ana", reason="latency")
    assert (report.version, report.previous_version) == (1, 2)
    assert services.deployments.champion(NAME).version == 1
    assert services.bundles.read_champion(NAME).version == 1
    assert services.tracker.alias(NAME, "champion") == 1
    decision = services.ledger.decisions(kind="rollback")[0]
    assert (decision.actor, decision.reasons[0], decision.evidence["from"]) == ("ana", "latency", 2)


def test_a_second_rollback_goes_further_back(services: FakeServices, model: ModelFile) -> None:
    rollback_model(services, model=NAME, actor="ana")
    with pytest.raises(NotEnoughDataError):
        rollback_model(services, model=NAME, actor="ana")
    assert services.deployments.champion(NAME).version == 1


def test_a_rollback_skips_a_damaged_version(services: FakeServices, model: ModelFile) -> None:
    retrain_model(services, model=model, run_id="r3", force=True)
    damage(services, 2)
    report = rollback_model(services, model=NAME, actor="ana")
    assert report.version == 1
    assert any("v2 was skipped" in note for note in report.notes)


@pytest.mark.parametrize("to", [1, 9])
def test_a_damaged_or_unknown_target_leaves_the_champion(
    services: FakeServices, model: ModelFile, to: int
) -> None:
    damage(services, 1)
    with pytest.raises(DataError):
        rollback_model(services, model=NAME, actor="ana", to=to)
    assert services.deployments.champion(NAME).version == 2


def test_a_version_that_was_never_champion_is_no_rollback_target(
    services: FakeServices, model: ModelFile
) -> None:
    bundle = services.bundles.open(NAME, 1)
    services.bundles.publish(NAME, 3, bundle.files, bundle.info)
    with pytest.raises(DataError, match="vigie promote"):
        rollback_model(services, model=NAME, actor="ana", to=3)
    assert services.deployments.champion(NAME).version == 2


def test_a_rollback_works_while_the_registry_is_down(
    services: FakeServices, model: ModelFile
) -> None:
    class Down(FakeTracker):
        def register(self, model: str, version: int, run_id: str) -> str | None:
            raise TransientError("MLflow did not answer")

    services.tracker = Down()
    report = rollback_model(services, model=NAME, actor="ana")
    assert services.deployments.champion(NAME).version == 1
    assert any("registry" in note for note in report.notes)


def test_a_deployment_is_recorded_if_the_disk_is_full_after_it(
    services: FakeServices, model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise DiskFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(services.bundles, "write_champion", full)
        report = rollback_model(services, model=NAME, actor="ana")
    assert report.notes == (f"champion.json does not name {NAME} v1 yet: no room",)
    assert services.ledger.decisions(kind="rollback")[0].evidence["to"] == 1
    assert reconcile_champion(services, model=NAME).repaired
    assert services.bundles.read_champion(NAME).version == 1


def test_a_model_without_champion_cannot_be_rolled_back(services: FakeServices) -> None:
    with pytest.raises(NotEnoughDataError):
        rollback_model(services, model=NAME, actor="ana")


def test_a_promotion_by_hand_passes_the_same_gate(services: FakeServices, model: ModelFile) -> None:
    rollback_model(services, model=NAME, actor="ana")
    strict = dataclasses.replace(model, gate=Gate(min_gain=0.5))
    with pytest.raises(ConflictError, match="the gate refused"):
        promote_version(services, model=strict, version=2, actor="ana")
    assert services.deployments.champion(NAME).version == 1
    assert promote_version(services, model=model, version=2, actor="ana").version == 2
    assert services.deployments.champion(NAME).version == 2


def test_a_forced_promotion_is_recorded_as_against_the_gate(
    services: FakeServices, model: ModelFile
) -> None:
    rollback_model(services, model=NAME, actor="ana")
    strict = dataclasses.replace(model, gate=Gate(min_gain=0.5))
    promote_version(services, model=strict, version=2, actor="ana", force=True)
    assert services.ledger.decisions(kind="promote")[0].evidence["gate"] == "overruled"


def test_the_champion_is_not_promoted_again(services: FakeServices, model: ModelFile) -> None:
    with pytest.raises(NotEnoughDataError):
        promote_version(services, model=model, version=2, actor="ana")


def test_the_backup_refuses_a_damaged_champion(services: FakeServices, model: ModelFile) -> None:
    damage(services, 2)
    with pytest.raises(DataError, match="vigie rollback"):
        backup_current_model(services, model=model, run_id="r3")


def test_a_backup_without_champion_has_no_version(
    services: FakeServices, project_root: Path
) -> None:
    shipped = get_model(project_root / "models", NAME)
    assert backup_current_model(services, model=shipped, run_id="r").version is None


@pytest.mark.parametrize("content", [None, b"not json"])
def test_reconcile_repairs_a_lost_or_damaged_copy(
    services: FakeServices, model: ModelFile, content: bytes | None
) -> None:
    copy = services.paths.artifacts / NAME / "champion.json"
    copy.unlink() if content is None else copy.write_bytes(content)
    report = reconcile_champion(services, model=NAME)
    assert any("champion.json" in text for text in report.repaired)
    assert services.bundles.read_champion(NAME) == services.deployments.champion(NAME)
    assert services.ledger.decisions(kind="reconcile")[0].evidence["version"] == 2


def test_reconcile_repairs_an_alias_that_was_moved(
    services: FakeServices, model: ModelFile
) -> None:
    services.tracker.set_alias(NAME, "champion", 1)
    assert reconcile_champion(services, model=NAME).repaired
    assert services.tracker.alias(NAME, "champion") == 2


def test_reconcile_repairs_nothing_if_all_copies_agree(
    services: FakeServices, model: ModelFile
) -> None:
    report = reconcile_champion(services, model=NAME)
    assert (report.repaired, report.problems, report.version) == ((), (), 2)


def test_reconcile_reports_a_damaged_champion(services: FakeServices, model: ModelFile) -> None:
    damage(services, 2)
    assert any(
        "cannot be read" in text for text in reconcile_champion(services, model=NAME).problems
    )


def test_why_returns_the_champion_at_an_instant(services: FakeServices, model: ModelFile) -> None:
    first, second = reversed(services.deployments.history(NAME))
    then = explain_decisions(services, model=NAME, at=first.deployed_at)
    assert then.champion == first
    assert then.deployments == (first,)
    assert {d.run_id for d in then.decisions} == {"r1"}
    now = explain_decisions(services, model=NAME)
    assert now.champion == second
    assert [d.kind for d in now.decisions[:4]] == ["promote", "gate", "select", "trigger"]


def test_why_of_an_unknown_model_is_empty(services: FakeServices) -> None:
    found = explain_decisions(services, model="unknown")
    assert (found.champion, found.deployments, found.decisions) == (None, (), ())
