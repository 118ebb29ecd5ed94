"""Train and pack a candidate; unpack it, or refuse damaged files."""

from __future__ import annotations

import io
import json
import os
import threading
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from vigie.errors import DataError
from vigie.models.catalog import get_model
from vigie.models.model_file import Feature, ModelFile
from vigie.models.names import CANDIDATES
from vigie.models.reference import load_reference, unseen_rows
from vigie.models.request import validate_features
from vigie.training.candidates import build_candidate
from vigie.training.design_matrix import Design
from vigie.training.fitting import FittedCandidate, binary_target, fit_candidate
from vigie.training.gate import Contender, compare
from vigie.training.servable import ServableModel
from vigie.training.servable_files import pack, unpack
from vigie.training.split import holdout_mask

MIXED = ModelFile(
    name="mixed",
    title="mixed",
    target="ill",
    positive_label="yes",
    negative_label="no",
    reference="x.csv",
    reference_share=1.0,
    features=(
        Feature("age", "integer", min=0, max=120),
        Feature("weight", "float", required=False),
        Feature("blood", "category", categories=("A", "B", "C"), required=False),
        Feature("smoker", "boolean", required=False),
    ),
    path=Path("mixed.toml"),
)


def mixed_rows(n: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 90, n),
            "weight": rng.normal(70, 10, n),
            "blood": pd.Series(rng.choice(["A", "B"], n), dtype=object),
            "smoker": rng.random(n) < 0.5,
        }
    )
    risk = (frame["age"] - 55) / 10 + 2 * frame["smoker"] + (frame["blood"] == "A")
    frame["ill"] = np.where(risk + rng.normal(size=n) > 1, "yes", "no").astype(object)
    frame.loc[::17, "weight"] = np.nan
    frame.loc[::19, "blood"] = None
    return frame


@cache
def fitted(candidate: str) -> FittedCandidate:
    return fit_candidate(candidate, MIXED, mixed_rows())


@cache
def files(candidate: str = "logistic_regression") -> dict[str, bytes]:
    found = fitted(candidate)
    return pack(
        found.pipeline,
        MIXED,
        candidate=candidate,
        threshold=found.threshold,
        profile={"n_rows": 240},
        sample=mixed_rows().drop(columns="ill"),
    )


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_an_unpacked_model_answers_as_the_packed_one(candidate: str) -> None:
    rows = mixed_rows(seed=1)

    servable = unpack(files(candidate))

    expected = fitted(candidate).pipeline.predict_proba(Design.of(MIXED).table(rows))[:, 1]
    np.testing.assert_allclose(servable.predict_frame(rows), expected, rtol=1e-12)
    assert servable.profile == {"n_rows": 240}
    assert servable.schema["candidate"] == candidate


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_single_request_equals_its_row_of_a_table(candidate: str) -> None:
    servable = unpack(files(candidate))
    request = validate_features(MIXED, {"age": 60, "weight": None, "blood": "B", "smoker": True})

    (answer,) = servable.predict([request])

    # The linear algebra library uses other routines for one row than for a table.
    assert answer.probability == pytest.approx(
        servable.predict_frame(pd.DataFrame([request] * 3))[1], rel=1e-12
    )


def test_an_unseen_category_is_answered() -> None:
    (answer,) = unpack(files()).predict([{"age": 50, "weight": 70.0, "blood": "C"}])

    assert 0 <= answer.probability <= 1


def test_unknown_keys_are_ignored() -> None:
    servable = unpack(files())
    row = {"age": 50, "weight": 70.0, "blood": "A", "smoker": True}

    assert servable.predict([row]) == servable.predict([{"extra": 1, **row}])


def test_the_threshold_decides_label_and_message() -> None:
    servable = unpack(files())
    old, young = servable.predict(
        [{"age": 90, "blood": "A", "smoker": True}, {"age": 20, "blood": "B", "smoker": False}]
    )

    assert (old.label, young.label) == ("yes", "no")
    assert old.message == f"yes (probability {old.probability:.2f})"
    assert young.message == f"no (probability of yes {young.probability:.2f})"


def test_no_rows_get_no_answers() -> None:
    servable = unpack(files())

    assert servable.predict([]) == []
    assert servable.predict_frame(mixed_rows().head(0)).shape == (0,)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_threads_get_the_answers_that_one_thread_gets(candidate: str) -> None:
    servable, rows = unpack(files(candidate)), mixed_rows(seed=2).to_dict("records")
    expected = [servable.predict([row]) for row in rows]
    filters = list(warnings.filters)
    wrong: list[int] = []

    def ask(offset: int) -> None:
        for i in range(offset, len(rows), 8):
            if servable.predict([rows[i]]) != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
    assert warnings.filters == filters


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_training_does_not_depend_on_the_order_of_rows(candidate: str) -> None:
    shuffled = fit_candidate(candidate, MIXED, mixed_rows().sample(frac=1, random_state=1))

    assert shuffled.metrics == fitted(candidate).metrics
    assert shuffled.threshold == fitted(candidate).threshold


def test_an_unknown_candidate_lists_the_known_ones() -> None:
    with pytest.raises(
        DataError, match="expected one of: logistic_regression, random_forest, xgboost"
    ):
        build_candidate("perceptron", MIXED, 0)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(DataError, match="the target contains 'maybe'; expected no or yes"):
        binary_target(MIXED, mixed_rows().assign(ill="maybe"))


@pytest.mark.parametrize("name", ["model.skops", "schema.json", "profile.json", "golden.json"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(DataError, match=f"the bundle lacks {name}"):
        unpack({k: v for k, v in files().items() if k != name})


@pytest.mark.parametrize("name", ["model.skops", "schema.json", "profile.json", "golden.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"PK\x03\x04", b"[1]"])
def test_a_damaged_file_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(DataError):
        unpack({**files(), name: content})


def test_the_golden_rows_detect_the_preprocessing_of_another_version() -> None:
    other = fit_candidate("logistic_regression", MIXED, mixed_rows(seed=5)).pipeline
    mixed = Pipeline(
        [("prepare", other["prepare"]), ("model", fitted(CANDIDATES[0]).pipeline["model"])]
    )

    with pytest.raises(DataError, match="golden row 1: expected the probability"):
        unpack({**files(), "model.skops": skops.io.dumps(mixed)})


def test_a_model_of_other_columns_is_refused() -> None:
    schema = json.loads(files()["schema.json"])
    schema["features"] = schema["features"][::-1]

    with pytest.raises(DataError, match="trained on the columns"):
        unpack({**files(), "schema.json": json.dumps(schema).encode()})


def test_an_untrusted_type_is_refused_and_not_created(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    run = FunctionTransformer(os.system, kw_args={"command": f"touch {sentinel}"})
    evil = Pipeline([("run", run), ("model", LogisticRegression())])

    with pytest.raises(DataError, match=r"refused: .*system"):
        unpack({**files(), "model.skops": skops.io.dumps(evil)})
    assert not sentinel.exists()


def test_a_file_that_names_a_foreign_module_is_refused_and_not_imported() -> None:
    data = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(files()["model.skops"])) as old,
        zipfile.ZipFile(data, "w") as new,
    ):
        for item in old.namelist():
            content = old.read(item)
            if item == "schema.json":
                content = content.replace(b'"LogisticRegression"', b'"Popen"').replace(
                    b'"sklearn.linear_model._logistic"', b'"subprocess"'
                )
            new.writestr(item, content)

    with pytest.raises(DataError, match=r"refused: .*subprocess\.Popen"):
        unpack({**files(), "model.skops": data.getvalue()})


def test_a_pickle_is_not_read() -> None:
    with pytest.raises(DataError, match="damaged"):
        unpack({**files(), "model.skops": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00."})


def breast_cancer(root: Path) -> tuple[ModelFile, pd.DataFrame, pd.DataFrame]:
    model = get_model(root / "models", "breast_cancer")
    frame = load_reference(model, root / "data")
    held = holdout_mask(frame, model.feature_names, 0.25, 42)
    return model, frame[~held], frame[held]


def contender(model: ModelFile, train: pd.DataFrame, held: pd.DataFrame) -> Contender:
    found = fit_candidate("logistic_regression", model, train)
    p = found.pipeline.predict_proba(Design.of(model).table(held))[:, 1]
    return Contender("logistic_regression", p, found.threshold)


def test_real_data_give_a_model_that_the_gate_promotes(project_root: Path) -> None:
    model, train, held = breast_cancer(project_root)

    verdict = compare(
        binary_target(model, held),
        contender(model, train, held),
        None,
        metric=model.training.metric,
        rules=model.gate,
    )

    assert verdict.promote
    assert verdict.evidence["challenger_value"] > 0.95


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_labels_are_refused_with_and_without_a_champion(
    project_root: Path, seed: int
) -> None:
    model, train, held = breast_cancer(project_root)
    y = binary_target(model, held)
    shuffled = train.assign(
        diagnosis=train["diagnosis"].sample(frac=1, random_state=seed).to_numpy()
    )
    challenger = contender(model, shuffled, held)
    champion = Contender("champion v1", np.where(y == 1, 0.9, 0.1), 0.5)

    for opponent in (None, champion):
        verdict = compare(y, challenger, opponent, metric=model.training.metric, rules=model.gate)
        assert not verdict.promote


def test_derived_features_are_computed_inside(project_root: Path, shared_data: Path) -> None:
    model = get_model(project_root / "models", "lung_cancer")
    frame = load_reference(model, shared_data)
    found = fit_candidate("logistic_regression", model, frame)
    packed = pack(
        found.pipeline,
        model,
        candidate=found.name,
        threshold=found.threshold,
        profile={},
        sample=frame,
    )

    servable = unpack(packed)

    assert isinstance(servable, ServableModel)
    assert len(servable.pipeline.feature_names_in_) == 28
    row = {k: int(v) for k, v in frame.iloc[0].drop(model.target).items()}
    (answer,) = servable.predict([validate_features(model, row)])
    assert answer.probability == pytest.approx(servable.predict_frame(frame)[0], rel=1e-12)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_lung_cancer_predicts_both_labels(
    project_root: Path, shared_data: Path, candidate: str
) -> None:
    """Nearly all rows are YES; the costs must not make a constant YES the cheapest answer."""
    model = get_model(project_root / "models", "lung_cancer")
    found = fit_candidate(candidate, model, load_reference(model, shared_data))
    unseen = unseen_rows(model, shared_data)
    y = binary_target(model, unseen)
    alarm = found.pipeline.predict_proba(Design.of(model).table(unseen))[:, 1] >= found.threshold

    assert alarm[y == 1].mean() > 0.8
    assert alarm[y == 0].mean() < 0.4
