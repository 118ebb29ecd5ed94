"""Contract of the report renderers: every kind of report, drawn by Evidently and by the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from vigie.drift.decision import detect_drift
from vigie.drift.reference_profile import build_profile
from vigie.errors import NotEnoughDataError
from vigie.models.model_file import Feature, ModelFile
from vigie.reports.kinds import KINDS
from vigie.roles import ReportRenderer
from vigie.roles.sources import ReportData
from vigie.testing.sources import FakeRenderer

MODEL = ModelFile(
    name="toy",
    title="A toy",
    target="ill",
    positive_label="YES",
    negative_label="NO",
    reference="toy.csv",
    reference_share=1.0,
    features=(Feature("age", "integer"),),
    path=Path("toy.toml"),
)
Write = Callable[[str, int, Path], Path]


@pytest.fixture(params=["fake", "evidently"])
def renderer(request: pytest.FixtureRequest) -> ReportRenderer:
    if request.param == "fake":
        return FakeRenderer()
    from vigie.adapters.reporting.renderer import EvidentlyRenderer

    return EvidentlyRenderer()


@pytest.fixture
def write(renderer: ReportRenderer) -> Write:
    """Return a function that writes a report of a kind with a number of current rows."""

    def call(kind: str, n_rows: int, html: Path) -> Path:
        ages = pd.DataFrame({"age": np.arange(n_rows)})
        if kind == "model_performance":
            labels = np.where(ages["age"] % 3 == 0, "YES", "NO")
            answers = pd.DataFrame({"target": labels, "prediction": labels, "probability": 0.5})
            return renderer.write(kind, ReportData(model=MODEL, current=answers), html)
        reference = pd.DataFrame({"age": range(90)})
        drift = detect_drift(build_profile(reference, MODEL.feature_types), ages, 0.3)
        data = ReportData(model=MODEL, current=ages, reference=reference, drift=drift)
        return renderer.write(kind, data, html)

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_an_html_and_a_json_file_are_written(write: Write, tmp_path: Path, kind: str) -> None:
    html = tmp_path / "new folder" / "page.html"
    assert write(kind, 60, html) == html
    assert "<" in html.read_text(encoding="utf-8")
    assert orjson.loads(html.with_suffix(".json").read_bytes())["model"] == "toy"
    assert len(list(html.parent.iterdir())) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_replaces_the_report(write: Write, tmp_path: Path, kind: str) -> None:
    html = tmp_path / "page.html"
    html.write_text("old")
    write(kind, 60, html)
    assert html.read_text(encoding="utf-8") != "old"


@pytest.mark.parametrize("kind", KINDS)
def test_without_rows_no_file_is_written(write: Write, tmp_path: Path, kind: str) -> None:
    with pytest.raises(NotEnoughDataError):
        write(kind, 0, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
