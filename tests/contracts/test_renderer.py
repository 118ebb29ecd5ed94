"""One suite for every renderer of reports: Evidently and the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from vigie.errors import NotEnoughDataError
from vigie.models.model_file import Feature, ModelFile
from vigie.roles import ReportRenderer
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
KINDS = ("quality", "drift", "performance")
Write = Callable[[str, int, Path], Path]


@pytest.fixture(params=["fake", "evidently"])
def renderer(request: pytest.FixtureRequest) -> ReportRenderer:
    if request.param == "fake":
        return FakeRenderer()
    from vigie.adapters.reporting.renderer import EvidentlyRenderer

    return EvidentlyRenderer()


@pytest.fixture
def write(renderer: ReportRenderer) -> Write:
    """Write a report of a kind over a number of current rows."""

    def call(kind: str, n_rows: int, html: Path) -> Path:
        ages = pd.DataFrame({"age": np.arange(n_rows)})
        if kind == "performance":
            labels = np.where(ages["age"] % 3 == 0, "YES", "NO")
            answers = pd.DataFrame({"target": labels, "prediction": labels, "probability": 0.5})
            return renderer.performance(MODEL, answers, None, html)
        return getattr(renderer, kind)(MODEL, ages, pd.DataFrame({"age": range(90)}), html)

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_and_the_json_beside_it_are_written(write: Write, tmp_path: Path, kind: str) -> None:
    html = tmp_path / "new folder" / "page.html"
    assert write(kind, 60, html) == html
    assert "<" in html.read_text(encoding="utf-8")
    assert orjson.loads(html.with_suffix(".json").read_bytes())["model"] == "toy"
    assert len(list(html.parent.iterdir())) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_replaces_the_page(write: Write, tmp_path: Path, kind: str) -> None:
    html = tmp_path / "page.html"
    html.write_text("old")
    write(kind, 60, html)
    assert html.read_text(encoding="utf-8") != "old"


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_are_not_enough_data_and_leave_nothing(
    write: Write, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(NotEnoughDataError):
        write(kind, 0, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
