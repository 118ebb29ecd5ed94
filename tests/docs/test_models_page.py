"""docs/models.md agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vigie.models.loading import load_model_file
from vigie.models.names import METRICS


@pytest.fixture(scope="module")
def page(project_root: Path) -> str:
    return (project_root / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_example_is_a_valid_model_file(page: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "churn.toml"
    path.write_text(example)

    model = load_model_file(path)

    assert model.feature_names == ("age", "monthly_bill", "plan", "has_phone")


def test_every_key_that_the_shipped_files_use_is_explained(page: str, project_root: Path) -> None:
    text = "\n".join(p.read_text() for p in sorted((project_root / "models").glob("*.toml")))
    sections = text.split("[features", 1)[0]
    keys = set(re.findall(r"^(\w+) = ", sections, re.MULTILINE)) - set(METRICS)

    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_every_shipped_model_is_listed_with_its_place(page: str, project_root: Path) -> None:
    for path in (project_root / "models").glob("*.toml"):
        model = load_model_file(path)
        assert f"| `{model.name}` |" in page
        assert ":" in model.reference or f"`data/{model.reference}`" in page
