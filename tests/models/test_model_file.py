"""Validation of model files and its messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from vigie.errors import PermanentError
from vigie.models.catalog import State, get_model, model_states
from vigie.models.loading import ModelFileError, load_model_file
from vigie.models.model_file import ModelFile
from vigie.models.names import METRICS, model_names

GOOD = """
name = "x"
target = "ill"
positive_label = "yes"
negative_label = "no"
reference = "x/table.csv"

[features]
age = { type = "integer", min = 0, max = 120 }
blood = { type = "category", categories = ["A", "B"] }
"""


def written(folder: Path, text: str, name: str = "x") -> Path:
    path = folder / "models" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ModelFileError) as caught:
        load_model_file(written(folder, text))
    return caught.value.problems


def test_a_short_file_gets_every_default(tmp_path: Path) -> None:
    model = load_model_file(written(tmp_path, GOOD))

    assert model.feature_names == ("age", "blood")
    assert model.labels == ("no", "yes")
    assert (model.training.metric, model.training.holdout_share) == ("average_precision", 0.25)
    assert (model.retrain.min_rows, model.retrain.drift_share) == (1000, 0.3)
    assert model.reference_share == 1.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"integer"',
            '"flaot"',
            "models/x.toml: [features.age] type: expected 'float', 'integer', 'category' or "
            "'boolean', found \"flaot\"",
        ),
        (
            "max = 120",
            "maxi = 120",
            "models/x.toml: [features.age] maxi: unknown key; did you mean max?",
        ),
        (
            "max = 120",
            'max = "120"',
            'models/x.toml: [features.age] max: expected a number, found "120"',
        ),
        (
            "max = 120",
            "max = -1",
            "models/x.toml: [features.age] max: expected at least 0, the value of min, found -1",
        ),
        (
            "max = 120",
            "max = nan",
            "models/x.toml: [features.age] max: expected a finite number, found NaN",
        ),
        (
            ', categories = ["A", "B"]',
            "",
            "models/x.toml: [features.blood] categories: expected a list of the allowed values",
        ),
        (
            'target = "ill"',
            "",
            "models/x.toml: target: expected a value, found nothing",
        ),
        (
            'name = "x"',
            'name = "y"',
            'models/x.toml: name: expected the name of the file, "x", found "y"',
        ),
        (
            'negative_label = "no"',
            'negative_label = "yes"',
            "models/x.toml: negative_label: expected a label different from the positive label, "
            'found "yes"',
        ),
        (
            "x/table.csv",
            "x/table.xlsx",
            "models/x.toml: reference: expected a path that ends in .csv, .csv.gz, .parquet, or "
            'sklearn:breast_cancer, found "x/table.xlsx"',
        ),
        (
            "[features]",
            "[training]\nholdout_share = 1\n[features]",
            "models/x.toml: [training] holdout_share: expected a number less than 1, found 1",
        ),
        (
            "[features]",
            '[training]\ncandidates = ["perceptron"]\n[features]',
            "models/x.toml: [training] candidates: expected 'logistic_regression', "
            "'random_forest' or 'xgboost', found \"perceptron\"",
        ),
        (
            "[features]",
            "[retrian]\nmin_rows = 5\n[features]",
            "models/x.toml: retrian: unknown key; did you mean retrain?",
        ),
        (
            "[features]",
            "[retrain]\nmin_rows = true\n[features]",
            "models/x.toml: [retrain] min_rows: expected a whole number, found true",
        ),
        (
            "[features]",
            "[gate.guards]\nrecal = 0.1\n[features]",
            "models/x.toml: [gate.guards] recal: unknown key; did you mean recall?",
        ),
        (
            'target = "ill"',
            'target = "age"',
            "models/x.toml: features: expected names other than the target; age is the target",
        ),
        (
            'target = "ill"',
            'target = "ill"\nderive = "nothing"',
            'models/x.toml: derive: expected one of lung_cancer, found "nothing"',
        ),
    ],
)
def test_a_mistake_is_named_with_file_table_key_and_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert problems(tmp_path, GOOD.replace(old, new)) == (message,)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"integer"', '"int"').replace('target = "ill"', "target = 3")

    assert len(problems(tmp_path, text)) == 2


def test_a_file_that_is_not_toml_is_rejected(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, "name = ")

    assert message.startswith("models/x.toml: not valid TOML: Invalid value")


def test_a_value_instead_of_a_table_is_rejected(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD.replace("[features]", "training = 5\n[features]")) == (
        "models/x.toml: training: expected a table, found 5",
    )


def test_the_shipped_files_are_valid(project_root: Path) -> None:
    models = [load_model_file(path) for path in sorted((project_root / "models").glob("*.toml"))]

    names = [model.name for model in models]
    assert names == ["breast_cancer", "fraud", "lung_cancer", "student_depression"]
    assert all(isinstance(m, ModelFile) for m in models)
    assert all(m.training.metric in METRICS for m in models)
    assert all(m.training.metric != "accuracy" for m in models)


def test_lung_cancer_has_the_14_features_of_the_api(project_root: Path) -> None:
    model = get_model(project_root / "models", "lung_cancer")

    assert len(model.features) == 14
    assert "CHRONIC_DISEASE" not in model.feature_names
    assert [f.name for f in model.accepted] == ["CHRONIC_DISEASE"]


def test_a_model_without_its_table_waits_for_data(project_root: Path, tmp_path: Path) -> None:
    states = {s.name: s for s in model_states(project_root / "models", tmp_path)}

    assert states["breast_cancer"].state is State.READY
    assert states["fraud"].state is State.WAITING
    assert str(tmp_path / "fraud" / "creditcard.csv") in states["fraud"].detail


def test_an_invalid_file_does_not_hide_the_others(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, "name = 1", "y")

    states = model_states(tmp_path / "models", tmp_path)

    assert [(s.name, s.state) for s in states] == [("x", State.WAITING), ("y", State.INVALID)]


def test_names_are_listed_without_opening_a_file(tmp_path: Path) -> None:
    written(tmp_path, "not toml at all", "b")
    written(tmp_path, GOOD, "a")
    written(tmp_path, GOOD, "Not-A-Name")

    assert model_names(tmp_path / "models") == ["a", "b"]


def test_the_error_for_an_unknown_model_lists_all_models(project_root: Path) -> None:
    with pytest.raises(PermanentError, match="available: breast_cancer, fraud"):
        get_model(project_root / "models", "../breast_cancer")
