"""Reports and decision on real rows, with fake stores and a fake renderer."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from vigie.drift.reference_profile import build_profile
from vigie.encoding import dumps
from vigie.errors import DataError, NotEnoughDataError
from vigie.models.catalog import get_model
from vigie.models.model_file import ModelFile
from vigie.models.reference import load_reference, unseen_rows
from vigie.models.thresholds import Threshold
from vigie.records import Prediction
from vigie.reports.decide_drift import DriftResult, decide_drift, report_on_model
from vigie.reports.evaluation import Evaluation, evaluate_once
from vigie.reports.kinds import KINDS
from vigie.reports.window import Period, ReportRun, evaluation_path, load_window
from vigie.reports.write_report import ReportResult, cleanup_old_reports, write_report
from vigie.testing import FakeServices

NAME = "breast_cancer"


@pytest.fixture
def model(services: FakeServices, project_root: Path) -> ModelFile:
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)
    return get_model(services.paths.models, NAME)


@pytest.fixture
def champion(services: FakeServices, model: ModelFile) -> None:
    """Deploy version 1, which has only a profile and a threshold."""
    reference = load_reference(model, services.paths.data)
    files = {"profile.json": dumps(build_profile(reference, model.feature_types))}
    services.bundles.publish(NAME, 1, files, {"threshold": 0.5})
    services.deployments.deploy(NAME, 1, expected_number=0, actor="test", reason="first")


def serve(
    services: FakeServices,
    model: ModelFile,
    n_rows: int = 100,
    *,
    shift: float = 0.0,
    wrong: bool = False,
    labelled: bool = True,
    version: int = 1,
) -> None:
    """Store predictions for unseen rows, shifted by ``shift`` standard deviations.

    With ``wrong``, each prediction is the opposite of the label.
    """
    rows = unseen_rows(model, services.paths.data).head(n_rows)
    actual = rows.pop(model.target).tolist()
    rows = rows + shift * rows.std()
    for i, (row, label) in enumerate(zip(rows.to_dict("records"), actual, strict=True)):
        is_positive = (label == model.positive_label) != wrong
        predicted = model.positive_label if is_positive else model.negative_label
        key = f"t{version}-{i}"
        at = services.now() - timedelta(minutes=i)
        p = 0.9 if is_positive else 0.1
        services.predictions.add(Prediction(key, NAME, version, row, predicted, p, "", at, 1.0))
        if labelled:
            services.labels.add(key, label)


def run_of(services: FakeServices, model: ModelFile, hours: float = 6, **values: Any) -> ReportRun:
    end = services.now() + timedelta(seconds=1)
    period = Period(end - timedelta(hours=hours), end)
    return ReportRun(model=model, period=period, **{"run_id": "r1"} | values)


def decide(services: FakeServices, model: ModelFile, **values: Any) -> DriftResult:
    return decide_drift(services, run=run_of(services, model, **values))


def write(services: FakeServices, model: ModelFile, kind: str, **values: Any) -> ReportResult:
    window = load_window(services, run_of(services, model, **values))
    return write_report(services, kind=KINDS[kind], window=window)


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_named_after_the_end_of_its_window(
    services: FakeServices, model: ModelFile, kind: str
) -> None:
    serve(services, model)
    report = write(services, model, kind)
    assert report.path.name == f"{report.report}_report_{NAME}_20261121_100001.html"
    assert report.path.is_file()
    assert report.json_path.is_file()
    assert report.n_current == 100


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_writes_the_same_files(services: FakeServices, model: ModelFile, kind: str) -> None:
    serve(services, model)
    paths = {write(services, model, kind).path for _ in range(2)}
    assert len(paths) == 1
    assert len(list(services.paths.reports.iterdir())) == 2


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_window_is_not_enough_data(
    services: FakeServices, model: ModelFile, kind: str
) -> None:
    with pytest.raises(NotEnoughDataError, match="no prediction from 2026-11-21"):
        write(services, model, kind)
    assert list(services.paths.reports.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_a_champion_is_not_enough_data(
    services: FakeServices, model: ModelFile, kind: str
) -> None:
    serve(services, model)
    with pytest.raises(NotEnoughDataError, match="no champion yet"):
        write(services, model, kind)


@pytest.mark.usefixtures("champion")
def test_predictions_outside_the_window_do_not_count(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    report = write(services, model, "data_quality", hours=0.5)
    assert report.n_current == 30


@pytest.mark.usefixtures("champion")
def test_the_performance_report_needs_a_label(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, labelled=False)
    with pytest.raises(NotEnoughDataError, match="POST /feedback"):
        write(services, model, "model_performance")


@pytest.mark.usefixtures("champion")
def test_predictions_of_an_older_version_do_not_count(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, wrong=True, version=7)
    serve(services, model, n_rows=60)
    assert decide(services, model).n_labelled == 60


@pytest.mark.usefixtures("champion")
def test_the_reference_is_the_training_table_of_the_champion(
    services: FakeServices, model: ModelFile
) -> None:
    table = load_reference(model, services.paths.data).head(77).assign(row_id="x")
    table.to_parquet(services.paths.data / "used.parquet")
    profile = {"profile.json": dumps(build_profile(table, model.feature_types))}
    services.bundles.publish(NAME, 2, profile, {"threshold": 0.5, "dataset": "used.parquet"})
    services.deployments.deploy(NAME, 2, expected_number=1, actor="test", reason="second")
    serve(services, model)
    assert write(services, model, "data_drift").n_reference == 77


@pytest.mark.usefixtures("champion")
def test_unchanged_rows_are_no_drift_and_a_good_performance(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    report = decide(services, model)
    assert (report.is_drifted, report.is_degraded) == (False, False)
    assert report.performance == 1.0


@pytest.mark.usefixtures("champion")
def test_shifted_rows_are_drift_and_the_ledger_has_the_reason(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    assert decide(services, model).is_drifted is True
    decision = services.ledger.decisions(model=NAME, kind="drift")[0]
    assert decision.verdict == "yes"
    assert decision.evidence["drift_score"] == 1.0
    assert decision.evidence["drift_share_source"] == "model file"
    assert "more than the allowed 30%" in decision.reasons[0]
    assert orjson.loads(dumps(decision.evidence)) == decision.evidence


@pytest.mark.usefixtures("champion")
def test_wrong_predictions_are_a_degraded_performance(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, wrong=True)
    assert decide(services, model).is_degraded is True
    decision = services.ledger.decisions(model=NAME, kind="performance")[0]
    assert decision.verdict == "yes"
    assert "is below the floor 0.85" in decision.reasons[0]


@pytest.mark.usefixtures("champion")
def test_too_few_rows_are_unknown_for_both(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, 20, shift=5.0, wrong=True)
    report = decide(services, model)
    assert (report.is_drifted, report.is_degraded) == (None, None)
    assert report.drift_reasons == ("20 rows are too few; at least 50 are needed",)
    assert "20 labelled predictions of v1; 50 are needed" in report.performance_reasons


@pytest.mark.usefixtures("champion")
def test_an_unknown_metric_is_absent(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, 20, labelled=False)
    names = {sample.name for sample in decide(services, model).metrics}
    assert names == {"vigie_labelled_answers_rows"}


@pytest.mark.usefixtures("champion")
def test_the_metrics_have_their_documented_names(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, shift=2.0)
    values = {s.name: s.value for s in decide(services, model).metrics}
    assert values["drift_score"] == 1.0
    assert values["n_drifted_features"] == 30
    assert values["max_feature_drift"] > 1
    assert values["vigie_drift_detected"] == 1.0


@pytest.mark.usefixtures("champion")
def test_labels_of_one_class_are_an_unknown_performance(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    for row in list(services.predictions.window(NAME)):
        services.labels.add(row.prediction.transaction_id, model.negative_label)
    report = decide(services, model)
    assert report.is_degraded is None
    assert report.performance_reasons == (
        "average_precision is not measured: all labels are benign",
    )


@pytest.mark.usefixtures("champion")
def test_a_given_threshold_takes_precedence_and_its_source_is_recorded(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    report = decide(services, model, thresholds={"drift_share": Threshold(1.0, "DAG Param")})
    assert report.is_drifted is False
    evidence = services.ledger.decisions(model=NAME, kind="drift")[0].evidence
    assert (evidence["drift_share"], evidence["drift_share_source"]) == (1.0, "DAG Param")


@pytest.mark.usefixtures("champion")
def test_a_retry_returns_the_first_decision(services: FakeServices, model: ModelFile) -> None:
    serve(services, model)
    first = decide(services, model)
    serve(services, model, version=1, shift=9.0)
    assert decide(services, model) == first
    assert len(services.ledger.decisions(model=NAME)) == 2


@pytest.mark.usefixtures("champion")
def test_an_empty_window_is_recorded_and_does_not_hide_the_last_decision(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    decide(services, model)
    services.clock.advance(hours=48)
    with pytest.raises(NotEnoughDataError):
        decide(services, model, run_id="r2")
    assert services.ledger.decisions(model=NAME, kind="drift")[0].verdict == "yes"
    skipped = services.ledger.decisions(model=NAME, kind="report")[0]
    assert (skipped.verdict, skipped.run_id) == ("skipped", "r2")


@pytest.mark.usefixtures("champion")
def test_a_champion_without_a_profile_is_a_data_error(
    services: FakeServices, model: ModelFile
) -> None:
    services.bundles.publish(NAME, 2, {"schema.json": b"{}"}, {"threshold": 0.5})
    services.deployments.deploy(NAME, 2, expected_number=1, actor="test", reason="second")
    serve(services, model)
    with pytest.raises(DataError, match=r"v2 has no readable profile\.json"):
        decide(services, model)


@pytest.mark.usefixtures("champion")
def test_absent_and_unreadable_features_count_as_missing(
    services: FakeServices, model: ModelFile
) -> None:
    for i, row in enumerate(unseen_rows(model, services.paths.data).head(80).to_dict("records")):
        features = {"mean_radius": row["mean_radius"], "mean_texture": "much"}
        at = services.now()
        services.predictions.add(Prediction(f"t{i}", NAME, 1, features, "benign", 0.1, "", at, 1.0))
    assert decide(services, model).is_drifted is True
    assert write(services, model, "data_quality").path.is_file()


def test_an_empty_period_is_refused(services: FakeServices) -> None:
    with pytest.raises(DataError, match="is empty"):
        Period(services.now(), services.now())


@pytest.mark.usefixtures("champion")
def test_report_on_model_states_why_there_is_no_performance_report(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, labelled=False)
    done = report_on_model(services, run=run_of(services, model))
    written = [page.name.split("_report_")[0] for page in done.pages]
    assert written == [kind for kind in KINDS if kind != "model_performance"]
    assert "POST /feedback" in done.omitted["model_performance"]


def old_reports(folder: Path, kind: str, model: str, n: int) -> list[Path]:
    pages = [
        folder / f"{kind}_report_{model}_202611{day:02}_060000.html" for day in range(1, n + 1)
    ]
    for page in pages:
        page.write_text("page")
        page.with_suffix(".json").write_text("{}")
    return pages


def test_the_newest_reports_of_each_kind_and_model_are_kept(services: FakeServices) -> None:
    folder = services.paths.reports
    drift = old_reports(folder, "data_drift", "fraud", 12)
    old_reports(folder, "data_drift", "fraud_2", 3)
    old_reports(folder, "model_performance", "fraud", 10)
    report = cleanup_old_reports(services, max_reports=10)
    assert (report.kept, report.deleted) == (23, 2)
    assert [page for page in drift if not page.exists()] == drift[:2]
    assert not drift[0].with_suffix(".json").exists()


def test_cleaning_twice_changes_nothing(services: FakeServices) -> None:
    old_reports(services.paths.reports, "data_drift", "fraud", 12)
    cleanup_old_reports(services, max_reports=3)
    assert cleanup_old_reports(services, max_reports=3).deleted == 0


def test_other_files_are_never_deleted(services: FakeServices, tmp_path: Path) -> None:
    folder = services.paths.reports
    kept = [
        folder / "data_drift_report.html",
        folder / "data_drift_report_fraud_20260101_000000.html.bak",
        folder / "my_data_drift_report_fraud_20260101_000000.html",
        folder / "notes.txt",
        tmp_path / "elsewhere.html",
    ]
    for path in kept:
        path.write_text("mine")
    link = folder / "data_drift_report_fraud_20260101_000000.html"
    link.symlink_to(kept[-1])
    (folder / "data_drift_report_fraud_20260102_000000.html").mkdir()
    old_reports(folder, "data_drift", "fraud", 1)
    cleanup_old_reports(services, max_reports=1)
    assert all(path.read_text() == "mine" for path in [*kept, link])


def test_the_cleanup_accepts_an_absent_folder(services: FakeServices) -> None:
    services.paths.reports.rmdir()
    assert cleanup_old_reports(services).kept == 0


@pytest.mark.usefixtures("champion")
def test_reports_and_decision_of_a_run_use_the_same_verdict(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    first = write(services, model, "data_drift")
    services.deployments.deploy(NAME, 9, expected_number=1, actor="test", reason="meanwhile")
    serve(services, model, version=2, wrong=True)
    decision = decide(services, model)
    shown = services.renderer.written[first.path].drift
    assert shown is not None
    assert decision.model_version == 1
    assert (decision.drift_score, decision.n_current) == (shown.drift_score, 100)
    write(services, model, "data_drift")
    assert services.renderer.written[first.path].drift == shown


@pytest.mark.usefixtures("champion")
def test_the_performance_report_shows_the_verdict_of_the_decision(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, wrong=True)
    report = write(services, model, "model_performance")
    shown = services.renderer.written[report.path]
    assert (shown.verdict, tuple(shown.reasons)) == (
        "yes",
        decide(services, model).performance_reasons,
    )


@pytest.mark.usefixtures("champion")
def test_another_run_computes_its_own_verdict(services: FakeServices, model: ModelFile) -> None:
    serve(services, model)
    assert decide(services, model, run_id="r1").n_current == 100
    serve(services, model, version=2)
    assert decide(services, model, run_id="r2").n_current == 200


@pytest.mark.usefixtures("champion")
def test_the_verdict_that_is_stored_first_counts(services: FakeServices, model: ModelFile) -> None:
    """Two processes compute the verdict at the same time; the second one stores it later."""
    serve(services, model)
    window = load_window(services, run_of(services, model))
    path = evaluation_path(services.paths.data, window.run)
    other = dataclasses.replace(window.evaluation, model_version=7)
    path.unlink()

    def slow() -> Evaluation:
        evaluate_once(path, lambda: other)
        return window.evaluation

    assert evaluate_once(path, slow) == other
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("champion")
def test_a_damaged_verdict_is_an_error_that_names_its_file(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    path = evaluation_path(services.paths.data, run_of(services, model))
    path.parent.mkdir(parents=True)
    path.write_text('{"drift": ')
    with pytest.raises(DataError, match=f"{path.name} is not a readable evaluation"):
        decide(services, model)


@pytest.mark.usefixtures("champion")
def test_the_cleanup_deletes_the_verdicts_of_old_runs(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    for number in range(4):
        decide(services, model, run_id=f"r{number}")
    cleanup_old_reports(services, max_reports=3)
    assert len(list((services.paths.data / "reports" / NAME).iterdir())) == 3
