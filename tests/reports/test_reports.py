"""The report jobs on real rows, every store in memory, the renderer a fake."""

from __future__ import annotations

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
from vigie.reports.cleanup_old_reports import cleanup_old_reports
from vigie.reports.decide_drift import DriftReport, decide_drift
from vigie.reports.report_on_model import report_on_model
from vigie.reports.window import Window
from vigie.reports.write_drift_report import write_drift_report
from vigie.reports.write_performance_report import write_performance_report
from vigie.reports.write_quality_report import write_quality_report
from vigie.testing import FakeServices

NAME = "breast_cancer"
WRITERS = [write_quality_report, write_drift_report, write_performance_report]


@pytest.fixture
def model(services: FakeServices, project_root: Path) -> ModelFile:
    shutil.copy(project_root / "models" / f"{NAME}.toml", services.paths.models)
    return get_model(services.paths.models, NAME)


@pytest.fixture
def champion(services: FakeServices, model: ModelFile) -> None:
    """Deploy version 1: only its profile and threshold matter here."""
    reference = load_reference(model, services.paths.data)
    files = {"profile.json": dumps(build_profile(reference, model.features))}
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
    """Answer real unseen rows, moved by ``shift`` deviations; ``wrong``: the opposite label."""
    rows = unseen_rows(model, services.paths.data).head(n_rows)
    actual = rows.pop(model.target).tolist()
    rows = rows + shift * rows.std()
    for i, (row, was) in enumerate(zip(rows.to_dict("records"), actual, strict=True)):
        is_positive = (was == model.positive_label) != wrong
        said = model.positive_label if is_positive else model.negative_label
        key = f"t{version}-{i}"
        at = services.now() - timedelta(minutes=i)
        p = 0.9 if is_positive else 0.1
        services.predictions.add(Prediction(key, NAME, version, row, said, p, "", at, 1.0))
        if labelled:
            services.labels.add(key, was)


def window(services: FakeServices, hours: float = 6) -> Window:
    end = services.now() + timedelta(seconds=1)
    return Window(end - timedelta(hours=hours), end)


def judge(services: FakeServices, model: ModelFile, **values: Any) -> DriftReport:
    values = {"run_id": "r1", "window": window(services)} | values
    return decide_drift(services, model=model, **values)


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("write", WRITERS)
def test_a_report_is_named_after_the_end_of_its_window(
    services: FakeServices, model: ModelFile, write: Any
) -> None:
    serve(services, model)
    report = write(services, model=model, window=window(services))
    assert report.path.name == f"{report.report}_report_{NAME}_20261121_100001.html"
    assert report.path.is_file()
    assert report.json_path.is_file()
    assert report.n_current == 100


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("write", WRITERS)
def test_a_second_try_writes_the_same_file(
    services: FakeServices, model: ModelFile, write: Any
) -> None:
    serve(services, model)
    paths = {write(services, model=model, window=window(services)).path for _ in range(2)}
    assert len(paths) == 1
    assert len(list(services.paths.reports.iterdir())) == 2


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("write", WRITERS)
def test_an_empty_window_is_not_enough_data(
    services: FakeServices, model: ModelFile, write: Any
) -> None:
    with pytest.raises(NotEnoughDataError, match="nothing was predicted from 2026-11-21"):
        write(services, model=model, window=window(services))
    assert list(services.paths.reports.iterdir()) == []


@pytest.mark.parametrize("write", WRITERS)
def test_a_model_without_a_champion_is_not_enough_data(
    services: FakeServices, model: ModelFile, write: Any
) -> None:
    serve(services, model)
    with pytest.raises(NotEnoughDataError, match="no champion yet"):
        write(services, model=model, window=window(services))


@pytest.mark.usefixtures("champion")
def test_predictions_outside_the_window_do_not_count(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    report = write_quality_report(services, model=model, window=window(services, hours=0.5))
    assert report.n_current == 30


@pytest.mark.usefixtures("champion")
def test_performance_needs_a_real_label(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, labelled=False)
    with pytest.raises(NotEnoughDataError, match="POST /feedback"):
        write_performance_report(services, model=model, window=window(services))


@pytest.mark.usefixtures("champion")
def test_answers_of_an_older_version_are_not_the_champions(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, wrong=True, version=7)
    serve(services, model, n_rows=60)
    assert judge(services, model).n_labelled == 60


@pytest.mark.usefixtures("champion")
def test_the_reference_is_what_the_champion_was_trained_on(
    services: FakeServices, model: ModelFile
) -> None:
    table = load_reference(model, services.paths.data).head(77).assign(row_id="x")
    table.to_parquet(services.paths.data / "used.parquet")
    profile = {"profile.json": dumps(build_profile(table, model.features))}
    services.bundles.publish(NAME, 2, profile, {"threshold": 0.5, "dataset": "used.parquet"})
    services.deployments.deploy(NAME, 2, expected_number=1, actor="test", reason="second")
    serve(services, model)
    assert write_drift_report(services, model=model, window=window(services)).n_reference == 77


@pytest.mark.usefixtures("champion")
def test_unchanged_rows_are_no_drift_and_a_good_performance(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    report = judge(services, model)
    assert (report.is_drifted, report.is_degraded) == (False, False)
    assert report.performance == 1.0


@pytest.mark.usefixtures("champion")
def test_shifted_rows_are_drift_and_the_ledger_says_why(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    assert judge(services, model).is_drifted is True
    decision = services.ledger.decisions(model=NAME, kind="drift")[0]
    assert decision.verdict == "yes"
    assert decision.facts["drift_score"] == 1.0
    assert decision.facts["drift_share_source"] == "model file"
    assert "more than the allowed 30%" in decision.reasons[0]
    assert orjson.loads(dumps(decision.facts)) == decision.facts


@pytest.mark.usefixtures("champion")
def test_wrong_answers_are_a_degraded_performance(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, wrong=True)
    assert judge(services, model).is_degraded is True
    decision = services.ledger.decisions(model=NAME, kind="performance")[0]
    assert decision.verdict == "yes"
    assert "is below the floor 0.85" in decision.reasons[0]


@pytest.mark.usefixtures("champion")
def test_too_few_rows_are_unknown_for_both(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, 20, shift=5.0, wrong=True)
    report = judge(services, model)
    assert (report.is_drifted, report.is_degraded) == (None, None)
    assert report.drift_reasons == ("20 rows are too few to tell (at least 50 are needed)",)
    assert "20 labelled answers, at least 50 are needed" in report.performance_reasons


@pytest.mark.usefixtures("champion")
def test_an_unknown_figure_is_absent_from_the_metrics(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, 20, labelled=False)
    names = {sample.name for sample in judge(services, model).metrics}
    assert names == {"vigie_labelled_answers_rows"}


@pytest.mark.usefixtures("champion")
def test_the_metrics_carry_the_documents_names(services: FakeServices, model: ModelFile) -> None:
    serve(services, model, shift=2.0)
    values = {s.name: s.value for s in judge(services, model).metrics}
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
    report = judge(services, model)
    assert report.is_degraded is None
    assert report.performance_reasons == (
        "average_precision is not defined: all labels are benign",
    )


@pytest.mark.usefixtures("champion")
def test_a_given_threshold_rules_and_its_source_is_recorded(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    report = judge(services, model, thresholds={"drift_share": Threshold(1.0, "DAG Param")})
    assert report.is_drifted is False
    facts = services.ledger.decisions(model=NAME, kind="drift")[0].facts
    assert (facts["drift_share"], facts["drift_share_source"]) == (1.0, "DAG Param")


@pytest.mark.usefixtures("champion")
def test_a_run_decides_once_however_often_it_is_tried(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model)
    first = judge(services, model)
    serve(services, model, version=1, shift=9.0)
    assert judge(services, model) == first
    assert len(services.ledger.decisions(model=NAME)) == 2


@pytest.mark.usefixtures("champion")
def test_an_empty_window_is_recorded_and_does_not_hide_the_last_decision(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, shift=2.0)
    judge(services, model)
    services.clock.advance(hours=48)
    with pytest.raises(NotEnoughDataError):
        judge(services, model, run_id="r2", window=window(services))
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
    with pytest.raises(DataError, match=r"v2 carries no readable profile\.json"):
        judge(services, model)


@pytest.mark.usefixtures("champion")
def test_a_feature_that_requests_no_longer_carry_is_unknown_or_missing_not_an_error(
    services: FakeServices, model: ModelFile
) -> None:
    for i, row in enumerate(unseen_rows(model, services.paths.data).head(80).to_dict("records")):
        features = {"mean_radius": row["mean_radius"], "mean_texture": "much"}
        at = services.now()
        services.predictions.add(Prediction(f"t{i}", NAME, 1, features, "benign", 0.1, "", at, 1.0))
    assert judge(services, model).is_drifted is True
    assert write_quality_report(services, model=model, window=window(services)).path.is_file()


def test_a_window_that_ends_before_it_begins_is_refused(services: FakeServices) -> None:
    with pytest.raises(DataError, match="is empty"):
        Window(services.now(), services.now())


@pytest.mark.usefixtures("champion")
def test_all_in_one_call_says_why_there_is_no_performance_page(
    services: FakeServices, model: ModelFile
) -> None:
    serve(services, model, labelled=False)
    done = report_on_model(services, model=model, window=window(services), run_id="m1")
    assert [page.name.split("_report_")[0] for page in done.pages] == ["data_quality", "data_drift"]
    assert "POST /feedback" in done.no_performance


def old_reports(folder: Path, kind: str, model: str, n: int) -> list[Path]:
    pages = [
        folder / f"{kind}_report_{model}_202611{day:02}_060000.html" for day in range(1, n + 1)
    ]
    for page in pages:
        page.write_text("page")
        page.with_suffix(".json").write_text("{}")
    return pages


def test_the_newest_reports_of_each_kind_and_model_stay(services: FakeServices) -> None:
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


def test_a_reports_folder_that_is_not_there_is_nothing_to_clean(services: FakeServices) -> None:
    services.paths.reports.rmdir()
    assert cleanup_old_reports(services).kept == 0
