"""A whole retraining on real rows, with stores in memory."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vigie.errors import ConflictError, DataError, NotEnoughDataError, TransientError
from vigie.models.catalog import get_model
from vigie.models.model_file import Gate, ModelFile, Training
from vigie.models.reference import unseen_rows
from vigie.records import Prediction
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.retraining.archive_production_data import archive_production_data
from vigie.retraining.backup_current_model import backup_current_model
from vigie.retraining.evaluate_triggers import evaluate_triggers
from vigie.retraining.gate_candidate import gate_candidate
from vigie.retraining.merge_training_data import merge_training_data
from vigie.retraining.notify_retraining import notify_retraining
from vigie.retraining.promotion import promote_candidate
from vigie.retraining.retrain_model import retrain_model
from vigie.retraining.select_best import select_best
from vigie.retraining.train_candidate import train_candidate
from vigie.testing import FakeServices
from vigie.testing.telemetry import FakeTracker

NAME = "breast_cancer"
EASY = Gate(min_gain=-1.0, tolerance=1.0)  # lets an equal challenger pass


@pytest.fixture
def model(services: FakeServices, project_root: Path) -> ModelFile:
    """Return the shipped model with its fastest candidate."""
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)
    shipped = get_model(services.paths.models, NAME)
    return dataclasses.replace(shipped, training=Training(candidates=("logistic_regression",)))


def feed(services: FakeServices, model: ModelFile, start: int, stop: int) -> None:
    """Add predictions for real rows outside the training data, with their labels."""
    rows = unseen_rows(model, services.paths.data).iloc[start:stop]
    for i, row in zip(range(start, stop), rows.to_dict("records"), strict=True):
        actual = row.pop(model.target)
        p = 0.9 if actual == model.positive_label else 0.1
        at = services.now()
        services.predictions.add(Prediction(f"t{i}", NAME, 1, row, actual, p, "", at, 1.0))
        services.labels.add(f"t{i}", actual)


def through_gate(services: FakeServices, model: ModelFile, run_id: str) -> None:
    evaluate_triggers(services, model=model, run_id=run_id, force=True)
    merge_training_data(services, model=model, run_id=run_id)
    for candidate in model.training.candidates:
        train_candidate(services, model=model, run_id=run_id, candidate=candidate)
    select_best(services, model=model, run_id=run_id)
    gate_candidate(services, model=model, run_id=run_id)


def test_the_first_champion_is_trained_on_the_reference(
    services: FakeServices, project_root: Path
) -> None:
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)
    shipped = get_model(services.paths.models, NAME)
    report = retrain_model(services, model=shipped, run_id="r1")
    assert report.promoted
    assert services.deployments.champion(NAME).version == report.version == 1
    assert services.bundles.read_champion(NAME).version == 1
    assert services.tracker.alias(NAME, "champion") == 1
    kinds = [d.kind for d in services.ledger.decisions(run_id="r1")]
    assert kinds[::-1] == ["trigger", "select", "gate", "promote"]
    assert {r.name for r in services.tracker.runs} == set(shipped.training.candidates)


def snapshot(services: FakeServices) -> dict[str, Any]:
    return {
        "files": sorted(str(p) for p in services.paths.root.rglob("*") if p.is_file()),
        "runs": [run.key for run in services.tracker.runs],
        "registered": list(services.tracker.registered),
        "deployments": list(services.deployments.rows),
        "decisions": [d.key for d in services.ledger.rows],
        "unused": services.labels.count_unused(NAME),
        "archives": list(services.labels.archives),
    }


def test_a_retry_of_a_step_changes_no_count(services: FakeServices, model: ModelFile) -> None:
    retrain_model(services, model=model, run_id="r0")
    feed(services, model, 0, 60)
    model = dataclasses.replace(model, gate=EASY)
    only = model.training.candidates[0]
    steps = (
        lambda: evaluate_triggers(services, model=model, run_id="r1", force=True),
        lambda: backup_current_model(services, model=model, run_id="r1"),
        lambda: merge_training_data(services, model=model, run_id="r1"),
        lambda: train_candidate(services, model=model, run_id="r1", candidate=only),
        lambda: select_best(services, model=model, run_id="r1"),
        lambda: gate_candidate(services, model=model, run_id="r1"),
        lambda: promote_candidate(services, model=model, run_id="r1"),
        lambda: archive_production_data(services, model=model, run_id="r1"),
        lambda: notify_retraining(services, models=[NAME], run_id="r1"),
    )
    for step in steps:
        first = step()
        once = snapshot(services)
        services.clock.advance(minutes=5)
        again = step()
        assert snapshot(services) == once
        assert _without_time(again) == _without_time(first)
    assert services.deployments.champion(NAME).version == 2
    assert services.labels.count_unused(NAME) == 0


def _without_time(report: Any) -> dict[str, Any]:
    return {k: v for k, v in report.as_xcom().items() if k != "metrics"}


def test_a_second_call_with_the_same_run_changes_nothing(
    services: FakeServices, model: ModelFile
) -> None:
    first = retrain_model(services, model=model, run_id="r1")
    once = snapshot(services)
    assert retrain_model(services, model=model, run_id="r1").version == first.version
    assert snapshot(services) == once


def test_labels_that_arrive_during_a_run_are_used_by_the_next_run(
    services: FakeServices, model: ModelFile
) -> None:
    model = dataclasses.replace(model, gate=EASY)
    retrain_model(services, model=model, run_id="r0")
    feed(services, model, 0, 60)
    through_gate(services, model, "r1")
    feed(services, model, 60, 100)  # between merge and archive
    promote_candidate(services, model=model, run_id="r1")
    assert archive_production_data(services, model=model, run_id="r1").n_rows == 60
    assert services.labels.count_unused(NAME) == 40
    through_gate(services, model, "r2")
    promote_candidate(services, model=model, run_id="r2")
    second = archive_production_data(services, model=model, run_id="r2")
    assert second.n_rows == 40
    files = sorted((services.paths.data / "archive" / NAME).glob("prod_data_archived_*.parquet"))
    rows = [row for file in files for row in pd.read_parquet(file)["row_id"]]
    assert len(files) == 2
    assert sorted(rows) == sorted(f"t{i}" for i in range(100))


def test_the_training_table_has_each_row_once(services: FakeServices, model: ModelFile) -> None:
    feed(services, model, 0, 30)
    report = merge_training_data(services, model=model, run_id="r1")
    frame = pd.read_parquet(report.path)
    assert (report.n_reference, report.n_production) == (len(frame) - 30, 30)
    assert frame["row_id"].is_unique
    assert list(frame.columns[: len(model.feature_names)]) == list(model.feature_names)
    assert 0.1 < report.n_holdout / len(frame) < 0.4


def test_rows_stay_in_the_hold_out_when_rows_are_added(
    services: FakeServices, model: ModelFile
) -> None:
    before = pd.read_parquet(merge_training_data(services, model=model, run_id="r1").path)
    feed(services, model, 0, 100)
    after = pd.read_parquet(merge_training_data(services, model=model, run_id="r2").path)
    sides = after.set_index("row_id")["holdout"]
    assert (sides[before["row_id"]].to_numpy() == before["holdout"].to_numpy()).all()


def test_a_row_with_an_unknown_label_is_counted_but_not_used(
    services: FakeServices, model: ModelFile
) -> None:
    feed(services, model, 0, 10)
    services.labels.add("t3", "perhaps")
    report = merge_training_data(services, model=model, run_id="r1")
    assert (report.n_production, report.n_unusable) == (9, 1)


def test_rows_of_one_class_are_not_enough_data(services: FakeServices, model: ModelFile) -> None:
    rows = unseen_rows(model, services.paths.data)
    rows[rows[model.target] == "benign"].to_csv(services.paths.data / "one.csv", index=False)
    one = dataclasses.replace(model, reference="one.csv", reference_share=1.0)
    with pytest.raises(NotEnoughDataError, match="malignant"):
        merge_training_data(services, model=one, run_id="r1")


@pytest.mark.parametrize("seed", range(5))
def test_the_gate_refuses_a_model_of_shuffled_labels(
    services: FakeServices, model: ModelFile, seed: int
) -> None:
    rows = unseen_rows(dataclasses.replace(model, reference_share=0.0), services.paths.data)
    rows[model.target] = np.random.default_rng(seed).permutation(rows[model.target])
    rows.to_csv(services.paths.data / "shuffled.csv", index=False)
    shuffled = dataclasses.replace(model, reference="shuffled.csv", reference_share=1.0)
    report = retrain_model(services, model=shuffled, run_id="r1")
    assert not report.promoted
    assert services.deployments.champion(NAME) is None
    assert services.bundles.versions(NAME) == []


def test_after_a_refusal_the_champion_stays_and_the_rows_are_unused(
    services: FakeServices, model: ModelFile
) -> None:
    retrain_model(services, model=model, run_id="r0")
    feed(services, model, 0, 60)
    strict = dataclasses.replace(model, gate=Gate(min_gain=0.5))
    report = retrain_model(services, model=strict, run_id="r1", force=True)
    assert not report.promoted
    assert services.deployments.champion(NAME).run_id == "r0"
    assert services.labels.count_unused(NAME) == 60
    with pytest.raises(NotEnoughDataError, match="the gate refused"):
        promote_candidate(services, model=strict, run_id="r1")


def test_one_of_two_concurrent_promotions_conflicts(
    services: FakeServices, model: ModelFile
) -> None:
    model = dataclasses.replace(model, gate=EASY)
    runs = ("r1", "r2")
    for run in runs:
        through_gate(services, model, run)
    outcomes: dict[str, str] = {}
    start = threading.Barrier(2)

    def promote(run: str) -> None:
        start.wait()
        try:
            promote_candidate(services, model=model, run_id=run)
            outcomes[run] = "promoted"
        except ConflictError:
            outcomes[run] = "conflict"

    threads = [threading.Thread(target=promote, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes.values()) == ["conflict", "promoted"]
    assert len(services.deployments.rows) == 1
    loser = next(run for run, outcome in outcomes.items() if outcome == "conflict")
    assert services.ledger.decisions(kind="promote", run_id=loser)[0].verdict == "no"


def test_a_late_retry_does_not_undo_a_rollback(services: FakeServices, model: ModelFile) -> None:
    from vigie.registry.rollback_model import rollback_model

    model = dataclasses.replace(model, gate=EASY)
    retrain_model(services, model=model, run_id="r1")
    retrain_model(services, model=model, run_id="r2", force=True)
    rollback_model(services, model=NAME, actor="me")
    promote_candidate(services, model=model, run_id="r2")
    assert services.deployments.champion(NAME).version == 1
    assert services.tracker.alias(NAME, "champion") == 1


def test_a_second_retraining_of_the_same_model_conflicts(
    services: FakeServices, model: ModelFile
) -> None:
    with services.locks.hold(f"retrain:{NAME}"), pytest.raises(ConflictError):
        retrain_model(services, model=model, run_id="r1")
    assert services.ledger.rows == []


class BrokenRegistry(FakeTracker):
    """A server that fails after the runs were logged."""

    is_down = True

    def register(self, model: str, version: int, run_id: str) -> str | None:
        self._check()
        return super().register(model, version, run_id)

    def alias(self, model: str, alias: str) -> int | None:
        self._check()
        return super().alias(model, alias)

    def _check(self) -> None:
        if self.is_down:
            raise TransientError("MLflow did not answer")


def test_a_promotion_stands_if_the_registry_is_down(
    services: FakeServices, model: ModelFile
) -> None:
    services.tracker = BrokenRegistry()
    report = retrain_model(services, model=model, run_id="r1")
    assert services.deployments.champion(NAME).version == report.version
    promoted = services.ledger.decisions(kind="promote")[0]
    assert any("registry" in reason for reason in promoted.reasons)


def test_reconcile_repairs_the_alias_after_an_outage(
    services: FakeServices, model: ModelFile
) -> None:
    services.tracker = tracker = BrokenRegistry()
    retrain_model(services, model=model, run_id="r1")
    assert reconcile_champion(services, model=NAME).problems
    tracker.is_down = False
    assert reconcile_champion(services, model=NAME).repaired
    assert tracker.alias(NAME, "champion") == 1
    assert reconcile_champion(services, model=NAME).repaired == ()


def test_without_a_tracking_server_nothing_is_staged(
    services: FakeServices, model: ModelFile
) -> None:
    class Down(FakeTracker):
        @contextmanager
        def run(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            raise TransientError("MLflow did not answer")
            yield

    services.tracker = Down()
    with pytest.raises(TransientError):
        retrain_model(services, model=model, run_id="r1")
    services.tracker = FakeTracker()
    assert retrain_model(services, model=model, run_id="r1").promoted


def test_the_first_of_equal_candidates_is_selected(
    services: FakeServices, model: ModelFile
) -> None:
    through_gate(services, model, "r1")
    staging = services.paths.artifacts / NAME / ".staging"
    twins = dataclasses.replace(model, training=Training(candidates=("b", "a")))
    for name in ("a", "b"):
        shutil.copytree(staging / "r1" / "logistic_regression", staging / "r2" / name)
    assert select_best(services, model=twins, run_id="r2").candidate == "b"


@pytest.mark.parametrize("run_id", ["../../../elsewhere", "..", "a/b", "", ".hidden", "r" * 201])
def test_a_run_id_that_is_no_file_name_is_refused(
    services: FakeServices, model: ModelFile, run_id: str
) -> None:
    before = sorted(services.paths.root.rglob("*"))
    with pytest.raises(DataError, match="invalid run id"):
        retrain_model(services, model=model, run_id=run_id, force=True)
    assert sorted(services.paths.root.rglob("*")) == before
    assert services.ledger.decisions() == []
