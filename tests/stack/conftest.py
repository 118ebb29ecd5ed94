"""The parsed Compose files, generated secrets, and a folder like the one in the containers."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "docker-compose.ports.yml")
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class RequiredVariableError(KeyError):
    """A variable that the file marks as required is not set."""


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace variables (``${NAME}``, with ``:-`` or ``:?``) and ``$$`` as Compose does."""
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]

    def fill(match: re.Match[str]) -> str:
        dollar, name, operator, text = match.groups()
        if dollar:
            return "$"
        if operator == ":?" and not variables.get(name):
            raise RequiredVariableError(name)
        return variables.get(name) or text or ""

    return VARIABLE.sub(fill, value) if isinstance(value, str) else value


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Return a function that imports a module of ``scripts/``, which is not a package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def compose_texts() -> dict[str, str]:
    return {name: (ROOT / name).read_text() for name in FILES}


@pytest.fixture(scope="session")
def stack_secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run ``make secrets`` in an empty folder and return the written variables."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "make_secrets.py", folder / "scripts")
    subprocess.run([sys.executable, "-I", script], check=True, stdout=subprocess.DEVNULL)
    return {name: str(value) for name, value in dotenv_values(folder / ".env").items()}


@pytest.fixture(scope="session")
def stack(compose_texts: dict[str, str], stack_secrets: dict[str, str]) -> dict[str, Any]:
    """Return docker-compose.yml with all variables replaced."""
    file = yaml.safe_load(compose_texts["docker-compose.yml"])
    return dict(interpolate(file, stack_secrets))


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like /opt/vigie in the containers, with mounts and writable folders."""
    folder = tmp_path_factory.mktemp("opt-vigie")
    for name in ("plugins", "models", "compose"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "airflow").mkdir()
    (folder / "airflow" / "dags").symlink_to(ROOT / "airflow" / "dags")
    for name in ("data/local", "artifacts", "reports"):
        (folder / name).mkdir(parents=True)
    return folder
