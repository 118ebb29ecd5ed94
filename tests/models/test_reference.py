"""Reference tables: loading and error messages."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vigie.errors import DataError, NotEnoughDataError
from vigie.models.catalog import get_model
from vigie.models.model_file import Feature, ModelFile
from vigie.models.reference import is_ready, load_reference, read_table, unseen_rows
from vigie.models.tables import frame_of

MODEL = ModelFile(
    name="x",
    title="x",
    target="ILL",
    positive_label="yes",
    negative_label="no",
    positive_value="1",
    negative_value="0",
    reference="x.csv",
    reference_share=1.0,
    features=(
        Feature("sex", "integer", min=0, max=1, column="SEX", values={"M": 1, "F": 0}),
        Feature("tired", "boolean", column="TIRED", values={"1": False, "2": True}),
        Feature("age", "integer", min=0, max=120),
        Feature("blood", "category", categories=("A", "B")),
    ),
    path=Path("x.toml"),
)


def table(folder: Path, *rows: str, header: str = "SEX,TIRED ,age,blood,ILL,other") -> Path:
    (folder / "x.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_values_headers_and_labels_are_translated_by_the_model_file(tmp_path: Path) -> None:
    frame = load_reference(MODEL, table(tmp_path, "M,1,40,A,1,z", "F,2,41,B,0,z"))

    assert frame.to_dict("records") == [
        {"sex": 1, "tired": False, "age": 40, "blood": "A", "ILL": "yes"},
        {"sex": 0, "tired": True, "age": 41, "blood": "B", "ILL": "no"},
    ]


def test_a_missing_value_is_missing_and_a_missing_target_drops_the_row(tmp_path: Path) -> None:
    frame = load_reference(MODEL, table(tmp_path, "M,1,,,1,z", "F,2,41,B,,z", "F,2,41,B,0,z"))

    assert len(frame) == 2
    assert frame["age"].isna().tolist() == [True, False]
    assert frame["blood"].tolist() == [None, "B"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("X,1,40,A,1,z", "column sex holds 'X' in row 2"),
        ("M,3,40,A,1,z", "column tired holds 3 in row 2"),
        ("M,1,old,A,1,z", "column age holds 'old' in row 2"),
        ("M,1,40.5,A,1,z", "column age holds 40.5 in row 2"),
        ("M,1,400,A,1,z", r"column age holds 400 \(1 of 2 rows\); x expects 0 to 120"),
        ("M,1,40,C,1,z", "column blood holds 'C' in row 2"),
        ("M,1,40,A,2,z", "the target ILL holds 2 .* expected 1 or 0"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_reference(MODEL, table(tmp_path, "M,1,40,A,1,z", row))


def test_a_missing_column_is_named_with_the_existing_ones(tmp_path: Path) -> None:
    folder = table(tmp_path, "M,1,40,1", header="SEX,TIRED,age,ILL")

    with pytest.raises(
        DataError, match="the columns blood of x are missing; found SEX, TIRED, age"
    ):
        load_reference(MODEL, folder)


def test_an_absent_table_raises_not_enough_data(tmp_path: Path) -> None:
    assert not is_ready(MODEL, tmp_path)
    with pytest.raises(NotEnoughDataError, match=f"put its reference table at {tmp_path}/x.csv"):
        load_reference(MODEL, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00broken", b'a,"b\n'])
def test_a_file_that_is_not_a_table_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)

    with pytest.raises(DataError):
        load_reference(MODEL, tmp_path)


def test_the_extension_of_a_parquet_table_may_be_upper_case(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "X.PARQUET")
    assert read_table(tmp_path / "X.PARQUET")["x"].tolist() == [1, 2]


def test_breast_cancer_is_ready_without_a_file(project_root: Path, tmp_path: Path) -> None:
    model = get_model(project_root / "models", "breast_cancer")

    reference, unseen = load_reference(model, tmp_path), unseen_rows(model, tmp_path)

    assert len(reference) + len(unseen) == 569
    assert 0.5 < len(reference) / 569 < 0.7
    assert set(reference["diagnosis"]) == set(unseen["diagnosis"]) == {"malignant", "benign"}
    assert list(reference.columns) == [*model.feature_names, "diagnosis"]


def test_reference_and_unseen_rows_share_no_row(project_root: Path, tmp_path: Path) -> None:
    model = get_model(project_root / "models", "breast_cancer")

    both = load_reference(model, tmp_path).merge(unseen_rows(model, tmp_path))

    assert both.empty


@pytest.mark.parametrize(
    ("name", "file", "n_rows"),
    [
        ("lung_cancer", "survey_lung_cancer.csv", 309),
        ("student_depression", "student_depression.csv", 22312),
    ],
)
def test_the_shipped_model_files_match_the_published_tables(
    project_root: Path, shared_data: Path, name: str, file: str, n_rows: int
) -> None:
    model = get_model(project_root / "models", name)
    assert (shared_data / model.reference).name == file

    frames = load_reference(model, shared_data), unseen_rows(model, shared_data)

    assert sum(map(len, frames)) == n_rows


def test_the_fraud_file_matches_the_published_columns(
    project_root: Path, shared_data: Path, tmp_path: Path
) -> None:
    sample = pd.read_parquet(shared_data / "creditcard" / "creditcard_sample.parquet")
    (tmp_path / "fraud").mkdir()
    sample.head(2000).to_csv(tmp_path / "fraud" / "creditcard.csv", index=False)
    model = get_model(project_root / "models", "fraud")

    frame = load_reference(model, tmp_path)

    assert set(frame["Class"]) == {"fraud", "legitimate"}


def test_requests_become_the_same_types_as_the_reference(tmp_path: Path) -> None:
    reference = load_reference(MODEL, table(tmp_path, "M,1,40,A,1,z", "F,2,41,B,0,z"))

    frame = frame_of(MODEL, [{"blood": "A", "age": 40, "tired": True, "sex": 1, "extra": 5}])

    assert frame.dtypes.to_dict() == reference.drop(columns="ILL").dtypes.to_dict()
