"""Export of the inference data set: features and predicted labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vigie.collection import export_dataset as module
from vigie.collection.export_dataset import export_dataset, export_datasets
from vigie.collection.index_specs import MESSAGE
from vigie.collection.ingest_logs import ingest_logs
from vigie.errors import NotEnoughDataError, TransientError
from vigie.models.model_file import Feature, ModelFile
from vigie.records import Document, Prediction
from vigie.testing import FakeServices

MODEL = ModelFile(
    name="toy",
    title="Toy",
    target="outcome",
    positive_label="YES",
    negative_label="NO",
    reference="toy.csv",
    reference_share=1.0,
    features=(
        Feature("age", "integer", min=0, max=120, required=False),
        Feature("size", "float"),
        Feature("smokes", "boolean", required=False),
        Feature("kind", "category", categories=("a", "b")),
    ),
    path=Path("toy.toml"),
)


def send(services: FakeServices, number: int, label: str = "NO", **features: object) -> None:
    given = {"age": 40, "size": 1.5, "smokes": True, "kind": "a", **features}
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    services.predictions.add(
        Prediction(f"t{number}", "toy", 1, given, label, 0.5, "", at, latency_ms=1.0)
    )
    ingest_logs(services, limit=1000)


def test_rows_contain_the_features_and_the_prediction(services: FakeServices) -> None:
    send(services, 1, "NO")
    send(services, 2, "YES", age=None, smokes=None, kind="b")
    report = export_dataset(services, model=MODEL)
    table = pq.read_table(report.path)
    assert table.to_pylist() == [
        {"age": 40, "size": 1.5, "smokes": True, "kind": "a", "target": 0},
        {"age": None, "size": 1.5, "smokes": None, "kind": "b", "target": 1},
    ]
    assert (report.documents, report.rows, report.columns) == (2, 2, 5)
    assert report.path == services.paths.data / "exports" / "toy" / "inference_dataset.parquet"


def test_the_metadata_marks_the_target_as_a_prediction(services: FakeServices) -> None:
    send(services, 1)
    metadata = pq.read_schema(export_dataset(services, model=MODEL).path).metadata
    assert metadata[b"label_source"] == b"model_prediction"


def test_batches_of_any_size_write_the_same_table(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(7):
        send(services, number, age=None if number < 3 else number)
    whole = export_dataset(services, model=MODEL, output=tmp_path / "whole.parquet")
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)
    parts = export_dataset(services, model=MODEL, output=tmp_path / "parts.parquet")
    assert pq.read_table(whole.path).equals(pq.read_table(parts.path))


def test_documents_that_do_not_match_the_model_file_are_counted_and_skipped(
    services: FakeServices,
) -> None:
    send(services, 1)
    send(services, 2, age="sixty")
    send(services, 3, label="MAYBE")
    report = export_dataset(services, model=MODEL)
    assert (report.rows, report.unusable, report.documents) == (1, 2, 3)


def test_documents_of_other_models_are_skipped(services: FakeServices) -> None:
    send(services, 1)
    with pytest.raises(NotEnoughDataError):
        export_dataset(services, model=replace(MODEL, name="other"))


def test_documents_without_a_model_are_matched_by_their_features(services: FakeServices) -> None:
    services.index.ensure(MESSAGE)
    body = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "input_data": {"age": 1, "size": 1.0, "smokes": False, "kind": "b"},
        "result": {"prediction": "YES"},
    }
    foreign = {**body, "input_data": {"V1": 1}}
    services.index.create(MESSAGE.name, [Document("1", body), Document("2", foreign)])
    assert export_dataset(services, model=MODEL).rows == 1


def test_without_predictions_no_file_is_written(services: FakeServices) -> None:
    with pytest.raises(NotEnoughDataError, match="vigie logs once"):
        export_dataset(services, model=MODEL)
    assert not list((services.paths.data / "exports").rglob("*.parquet"))
    assert not list((services.paths.data / "exports").rglob("*tmp*"))


def test_a_failure_leaves_the_old_file(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(services, 1)
    path = export_dataset(services, model=MODEL).path
    before = path.read_bytes()

    def scan(*_: object) -> None:
        raise TransientError("down")

    monkeypatch.setattr(services.index, "scan", scan)
    with pytest.raises(TransientError):
        export_dataset(services, model=MODEL)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_export_is_skipped_until_something_changes(services: FakeServices) -> None:
    send(services, 1)
    export_dataset(services, model=MODEL, only_if_new=True)
    with pytest.raises(NotEnoughDataError, match="since the last export"):
        export_dataset(services, model=MODEL, only_if_new=True)
    wider = replace(MODEL, features=(*MODEL.features, Feature("extra", "float", required=False)))
    assert export_dataset(services, model=wider, only_if_new=True).columns == 6
    send(services, 2)
    assert export_dataset(services, model=MODEL, only_if_new=True).rows == 2


@pytest.fixture
def two_model_files(services: FakeServices, project_root: Path) -> FakeServices:
    shipped = (project_root / "models" / "breast_cancer.toml").read_text()
    (services.paths.models / "breast_cancer.toml").write_text(shipped)
    (services.paths.models / "broken.toml").write_text("name = ")
    return services


def test_an_invalid_model_file_does_not_block_the_others(two_model_files: FakeServices) -> None:
    from vigie.models.catalog import get_model
    from vigie.models.reference import load_reference

    services = two_model_files
    model = get_model(services.paths.models, "breast_cancer")
    row = load_reference(model, services.paths.data).iloc[0]
    features = {name: float(row[name]) for name in model.feature_names}
    at = services.now()
    services.predictions.add(
        Prediction("b1", model.name, 1, features, "malignant", 0.9, "", at, latency_ms=1.0)
    )
    ingest_logs(services, limit=10)
    report = export_datasets(services)
    assert [(export.model, export.rows) for export in report.exports] == [("breast_cancer", 1)]
    assert {sample.labels["model"] for sample in report.metrics} == {"breast_cancer"}


def test_without_new_predictions_there_is_not_enough_data(two_model_files: FakeServices) -> None:
    with pytest.raises(NotEnoughDataError):
        export_datasets(two_model_files)
