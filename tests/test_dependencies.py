"""Every third-party package that the code imports is a declared dependency."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OWN = {"vigie", "servers"}
# Several distributions install files into these packages; one declared distribution is enough.
SHARED = {"airflow": "apache-airflow", "mlflow": "mlflow"}
# Test tools that dev/servers imports; requirements-dev.in declares them.
FOR_DEVELOPMENT = {"trustme"}


def imported_packages(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the top-level name of each import, with the file that contains it."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0], file


def declared(lines: list[str]) -> set[str]:
    stripped = (line.partition("#")[0].strip() for line in lines)
    names = (Requirement(text).name for text in stripped if text and not text.startswith("-"))
    return {canonicalize_name(name) for name in names}


def project_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies: list[str] = project["dependencies"]
    return dependencies


@pytest.mark.parametrize("source", ["pyproject.toml", "requirements.in"])
def test_every_imported_package_is_declared(source: str) -> None:
    lines = (
        project_dependencies()
        if source == "pyproject.toml"
        else (ROOT / source).read_text(encoding="utf-8").splitlines()
    )
    known, installed = declared(lines) | FOR_DEVELOPMENT, packages_distributions()
    missing: dict[str, str] = {}
    for folder in ("plugins/vigie", "dev/servers", "airflow/dags"):
        for package, file in imported_packages(ROOT / folder):
            if package in OWN or package in sys.stdlib_module_names:
                continue
            names = [SHARED[package]] if package in SHARED else installed.get(package, [package])
            if not known & {canonicalize_name(name) for name in names}:
                missing[package] = str(file.relative_to(ROOT))
    assert missing == {}


def test_both_declarations_name_the_same_packages() -> None:
    """Providers that only the deployment of the DAGs needs are only in requirements.in."""
    wanted = declared((ROOT / "requirements.in").read_text(encoding="utf-8").splitlines())
    providers = {name for name in wanted if name.startswith("apache-airflow-providers-")}
    assert declared(project_dependencies()) - wanted == set()
    assert wanted - providers - declared(project_dependencies()) == set()
