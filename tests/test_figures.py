"""The size and structure of the package stay within the limits of scripts/figures.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["figures"] = module  # dataclasses looks up the module there
    spec.loader.exec_module(module)
    return module


figures: Any = _load()


@pytest.mark.parametrize(
    "figure", figures.figures(ROOT / "plugins" / "vigie"), ids=lambda figure: figure.name
)
def test_a_figure_is_within_its_limit(figure: Any) -> None:
    assert figure.is_met, figure.details


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of an empty package, in which tests write modules."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    return tmp_path / "toy"


@pytest.mark.parametrize(
    "body",
    [
        "import toy.a\n",
        "from toy import a\n",
        "from toy.a import f\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.a import f\n",
        "def g():\n    from toy.a import f\n",
    ],
)
def test_every_form_of_import_closes_a_circle(body: str, package: Path) -> None:
    (package / "a.py").write_text("from toy.b import g\n")
    (package / "b.py").write_text(body)
    graph = figures.import_graph(figures.read_modules(package))
    assert figures.import_circles(graph) == [["toy.a", "toy.b"]]


def test_two_circles_are_reported_separately() -> None:
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e"}, "e": {"c"}}
    assert sorted(figures.import_circles(graph)) == [["a", "b"], ["c", "d", "e"]]


@pytest.mark.parametrize(
    ("folders", "is_allowed"),
    [
        (("roles", "adapters/x", "adapters/y", "testing/contracts"), True),
        (("cli", "operators", "serving"), True),
        (("collection", "reports"), False),
        (("collection", "operators"), False),
        (("models/features", "models"), False),
    ],
)
def test_a_file_name_repeats_only_for_a_role(
    folders: tuple[str, ...], is_allowed: bool, package: Path
) -> None:
    for folder in folders:
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "thing.py").touch()
    repeated = figures.repeated_names(figures.read_modules(package))
    assert (repeated == {}) is is_allowed


def test_a_body_is_counted_without_its_docstring_and_a_stub_not_at_all(package: Path) -> None:
    text = 'def f():\n    """Say.\n\n    More.\n    """\n    a = 1\n\n    return a\ndef g(): ...\n'
    (package / "a.py").write_text(text)
    module = next(m for m in figures.read_modules(package) if not m.is_package)
    assert [n for n, _ in figures.body_sizes(module)] == [3]
