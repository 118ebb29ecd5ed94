"""Reports drawn by Evidently, including reports with columns that Evidently refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vigie.adapters.reporting.evidently_draw import Drawing
from vigie.adapters.reporting.frames import MAX_ROWS
from vigie.adapters.reporting.renderer import EvidentlyRenderer
from vigie.drift.decision import detect_drift
from vigie.drift.reference_profile import build_profile
from vigie.drift.verdict import DriftVerdict
from vigie.errors import DataError, NotEnoughDataError
from vigie.models.model_file import Feature, ModelFile
from vigie.roles.sources import ReportData

MODEL = ModelFile(
    name="toy",
    title="A toy <model>",
    target="ill",
    positive_label="YES",
    negative_label="NO",
    reference="toy.csv",
    reference_share=1.0,
    features=(
        Feature("age", "integer"),
        Feature("weight", "float"),
        Feature("smoker", "boolean"),
        Feature("town", "category", categories=("Lyon", "Paris")),
    ),
    path=Path("toy.toml"),
)


def table(n_rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, n_rows),
            "weight": rng.normal(70, 10, n_rows),
            "smoker": rng.random(n_rows) < 0.4,
            "town": rng.choice(["Lyon", "Paris"], n_rows),
        }
    )


def predictions(n_rows: int = 100, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    probability = rng.random(n_rows)
    return pd.DataFrame(
        {
            "target": np.where(rng.random(n_rows) < probability, "YES", "NO"),
            "prediction": np.where(probability >= 0.5, "YES", "NO"),
            "probability": probability,
        }
    )


class Renderer(EvidentlyRenderer):
    """Write each kind of report for the tests' model."""

    def quality(self, current: pd.DataFrame, reference: pd.DataFrame, html: Path) -> Path:
        data = ReportData(model=MODEL, current=current, reference=reference)
        return self.write("data_quality", data, html)

    def drift(
        self,
        current: pd.DataFrame,
        reference: pd.DataFrame,
        html: Path,
        verdict: DriftVerdict | None = None,
    ) -> Path:
        if verdict is None:
            types = {n: t for n, t in MODEL.feature_types.items() if n in reference.columns}
            verdict = detect_drift(build_profile(reference, types), current, 0.3)
        data = ReportData(
            model=MODEL,
            current=current,
            reference=reference,
            verdict=verdict.word,
            reasons=verdict.reasons,
            drift=verdict,
        )
        return self.write("data_drift", data, html)

    def performance(
        self, current: pd.DataFrame, reference: pd.DataFrame | None, html: Path
    ) -> Path:
        data = ReportData(model=MODEL, current=current, reference=reference)
        return self.write("model_performance", data, html)


def body_of(html: Path) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(html.with_suffix(".json").read_bytes())
    return body


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.mark.parametrize("kind", ["quality", "drift"])
def test_an_html_and_a_json_file_are_written(renderer: Renderer, tmp_path: Path, kind: str) -> None:
    html = tmp_path / "page.html"
    assert getattr(renderer, kind)(table(seed=1), table(), html) == html
    assert "plotly" in html.read_text().lower()
    assert body_of(html)["evidently"]
    assert body_of(html)["left_out"] == {}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_the_drift_report_shows_our_verdict_on_each_column(
    renderer: Renderer, tmp_path: Path
) -> None:
    current = table(200, seed=1)
    current["weight"] += 30
    html = renderer.drift(current, table(300), tmp_path / "page.html")
    effects = {
        m["config"]["column"]: m["value"]
        for m in body_of(html)["evidently"]
        if "column" in m["config"]
    }
    verdict = {c["name"]: c for c in body_of(html)["verdict"]["columns"]}
    assert effects == pytest.approx({name: c["effect"] for name, c in verdict.items()})
    counted = next(m["value"] for m in body_of(html)["evidently"] if "share" in str(m["value"]))
    assert counted["count"] == body_of(html)["verdict"]["n_drifted_features"] == 1


def test_the_given_verdict_is_shown(renderer: Renderer, tmp_path: Path) -> None:
    profile = build_profile(table(300, seed=5).assign(age=5), MODEL.feature_types)
    verdict = detect_drift(profile, table(seed=1), 0.1)
    html = renderer.drift(table(seed=1), table(300), tmp_path / "page.html", verdict)
    assert verdict.is_drifted
    assert body_of(html)["verdict"]["n_drifted_features"] == verdict.n_drifted_features
    assert "Drift: 1 of 4 columns drifted" in html.read_text()


BROKEN: dict[str, tuple[Any, str]] = {
    "all NaN": (lambda f: f.assign(weight=np.nan), "weight: no usable value in the current rows"),
    "all inf": (lambda f: f.assign(weight=np.inf), "weight: no usable value in the current rows"),
    "missing": (lambda f: f.drop(columns="town"), "town: absent from the current rows"),
    "extra": (lambda f: f.assign(odd=1), "odd: not a feature of the model"),
    "words": (lambda f: f.assign(age="many"), "age: no usable value in the current rows"),
}


@pytest.mark.parametrize("kind", ["quality", "drift"])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_column_that_evidently_refuses_is_left_out_and_named(
    renderer: Renderer, tmp_path: Path, kind: str, fault: str
) -> None:
    break_, expected = BROKEN[fault]
    html = getattr(renderer, kind)(break_(table(seed=1)), table(), tmp_path / "p.html")
    assert f"left out: {expected}" in html.read_text()
    assert expected.split(":")[0] in body_of(html)["left_out"]
    assert body_of(html)["evidently"]


@pytest.mark.parametrize("kind", ["quality", "drift"])
@pytest.mark.parametrize(
    "cells", ["1e308", "mixed", "nullable", "constant", "one row", "text numbers"]
)
def test_a_report_is_written_despite_unusual_values(
    renderer: Renderer, tmp_path: Path, kind: str, cells: str
) -> None:
    current = table(seed=1)
    current = {
        "1e308": lambda: current.assign(weight=[1e308, -1e308] * 60),
        "mixed": lambda: current.assign(weight=[1, "2", None, True, [3], {}] * 20),
        "nullable": lambda: current.assign(
            age=current["age"].astype("Int64").where(current.age > 30)
        ),
        "constant": lambda: current.assign(weight=5.0, town="Paris"),
        "one row": lambda: current.head(1),
        "text numbers": lambda: current.astype(str),
    }[cells]()
    html = getattr(renderer, kind)(current, table(), tmp_path / "p.html")
    assert html.stat().st_size > 1000
    assert body_of(html)["n_current"] == len(current)


def test_a_report_of_a_table_without_usable_columns_says_so(
    renderer: Renderer, tmp_path: Path
) -> None:
    current = pd.DataFrame({"other": range(80)})
    html = renderer.drift(current, table(), tmp_path / "p.html")
    assert "no charts: no column has values in both tables" in html.read_text()
    assert body_of(html)["evidently"] is None
    assert body_of(html)["verdict"]["is_drifted"] is None


@pytest.mark.parametrize("kind", ["quality", "drift"])
def test_without_rows_there_is_not_enough_data(
    renderer: Renderer, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(NotEnoughDataError, match="no current rows"):
        getattr(renderer, kind)(table(0), table(), tmp_path / "p.html")
    assert list(tmp_path.iterdir()) == []


def test_a_drift_report_counts_only_the_columns_in_the_charts(
    renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = Drawing("<body></body>", [], left_out={"town": "Evidently refused the column"})
    monkeypatch.setattr("vigie.adapters.reporting.renderer.draw", lambda *_: drawing)
    html = renderer.drift(table(seed=1), table(), tmp_path / "p.html")
    assert "charts below show 3 of 4 columns" in html.read_text()


def test_a_long_table_is_sampled_and_the_report_says_so(renderer: Renderer, tmp_path: Path) -> None:
    html = renderer.quality(table(MAX_ROWS + 1), table(), tmp_path / "p.html")
    assert "charts show a sample of 20,000 of the 20,001 current rows" in html.read_text()
    assert "Columns of the sample" in html.read_text()
    assert body_of(html)["n_current"] == MAX_ROWS + 1


def test_repeated_rows_are_counted(renderer: Renderer, tmp_path: Path) -> None:
    current = pd.concat([table(50), table(50)], ignore_index=True)
    html = renderer.quality(current, table(), tmp_path / "p.html")
    assert body_of(html)["duplicated_rows"] == 50
    assert "50 of 100 current rows repeat an earlier row" in html.read_text()


def test_the_performance_report_has_the_accuracy(renderer: Renderer, tmp_path: Path) -> None:
    frame = predictions()
    html = renderer.performance(frame, None, tmp_path / "p.html")
    current = body_of(html)["current"]
    correct = float((frame["target"] == frame["prediction"]).mean())
    assert current["figures"]["accuracy"] == pytest.approx(correct)
    accuracy = next(m for m in body_of(html)["evidently"] if "Accuracy" in m["config"]["type"])
    assert accuracy["value"] == pytest.approx(correct)


def test_the_performance_report_shows_a_reference(renderer: Renderer, tmp_path: Path) -> None:
    html = renderer.performance(predictions(), predictions(60, seed=3), tmp_path / "p.html")
    assert body_of(html)["reference"]["n_rows"] == 60
    assert "Reference: Confusion matrix" in html.read_text()


@pytest.mark.parametrize("label", ["YES", "NO"])
def test_with_labels_of_one_class_the_report_has_counts_and_a_note(
    renderer: Renderer, tmp_path: Path, label: str
) -> None:
    frame = predictions().assign(target=label)
    html = renderer.performance(frame, None, tmp_path / "p.html")
    other = {"YES": "NO", "NO": "YES"}[label]
    assert (
        f"all labels are {label}: predictions for {other} rows cannot be assessed"
        in html.read_text()
    )
    assert sum(body_of(html)["current"]["counts"].values()) == len(frame)


def test_rows_without_a_usable_label_are_counted(renderer: Renderer, tmp_path: Path) -> None:
    frame = predictions()
    frame.loc[:9, "target"] = None
    frame.loc[10:14, "target"] = "MAYBE"
    frame.loc[15, "probability"] = np.nan
    html = renderer.performance(frame, None, tmp_path / "p.html")
    assert body_of(html)["current"]["n_rows"] == 84
    assert "16 of 100 rows have no usable label, prediction or probability" in html.read_text()


def test_performance_without_labels_is_not_enough_data(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match="no current row has a usable label"):
        renderer.performance(predictions().assign(target=None), None, tmp_path / "p.html")


def test_performance_without_its_columns_is_a_data_error(
    renderer: Renderer, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="lack the columns probability"):
        renderer.performance(predictions().drop(columns="probability"), None, tmp_path / "p.html")


def test_values_of_the_data_are_escaped(renderer: Renderer, tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script>"
    current = table(seed=1).assign(town=attack, **{attack: 1})
    for kind in (renderer.quality, renderer.drift):
        html = kind(current, table().assign(town=attack), tmp_path / "p.html")
        assert "<script>alert" not in html.read_text()


def test_the_report_loads_nothing_from_the_network(renderer: Renderer, tmp_path: Path) -> None:
    html = renderer.drift(table(seed=1), table(), tmp_path / "p.html")
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[^>]*>", html.read_text())
    assert [tag for tag in tags if "http" in tag] == []


def test_the_same_rows_give_the_same_json(renderer: Renderer, tmp_path: Path) -> None:
    bodies = []
    for name in ("a.html", "b.html"):
        body = body_of(renderer.drift(table(seed=1), table(), tmp_path / name))
        bodies.append({**body, "evidently": [m["value"] for m in body["evidently"]]})
    assert bodies[0] == bodies[1]


CELLS = st.one_of(st.none(), st.integers(-3, 3), st.floats(), st.text(max_size=2), st.booleans())
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=6)


@given(current=ROWS, reference=ROWS, dropped=st.sets(st.sampled_from(MODEL.feature_names)))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_table_gives_a_report(
    renderer: Renderer,
    tmp_path_factory: pytest.TempPathFactory,
    current: list[tuple[Any, ...]],
    reference: list[tuple[Any, ...]],
    dropped: set[str],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    names = list(MODEL.feature_names)
    now = pd.DataFrame(current * 12, columns=names, dtype=object).drop(columns=list(dropped))
    before = pd.DataFrame(reference * 12, columns=names, dtype=object)
    for kind in (renderer.quality, renderer.drift):
        assert body_of(kind(now, before, folder / "p.html"))["n_current"] == len(now)
