"""``make secrets``: written secrets, owners of folders, permissions of mounted files."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.getuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can change the owner of a folder")


@pytest.fixture(scope="module")
def module(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("make_secrets")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "make_secrets.py", tmp_path / "scripts")
    return tmp_path


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a checkout in a folder that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "make_secrets.py", Path(folder) / "scripts")
        yield Path(folder)


def run(checkout: Path, user: int | None = None) -> subprocess.CompletedProcess[str]:
    program = sys.executable if user is None else "/usr/bin/python3"  # executable by any user
    command = [program, "-I", str(checkout / "scripts" / "make_secrets.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, user=user)


def make_secrets(checkout: Path) -> str:
    done = run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(checkout: Path) -> Mapping[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (checkout / ".env").read_text(), re.MULTILINE))


def test_secrets_are_private_and_never_printed(checkout: Path, module: ModuleType) -> None:
    output = make_secrets(checkout)
    values = written(checkout)
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert values.keys() == module.SECRETS.keys()
    assert len(set(values.values())) == len(values)
    secret = {value for name, value in values.items() if name != "AIRFLOW_UID"}
    assert [value for value in secret if value in output] == []


def test_no_generated_secret_looks_like_an_option(module: ModuleType) -> None:
    made = {name: [make() for _ in range(300)] for name, make in module.SECRETS.items()}
    made.pop("AIRFLOW_UID")
    odd = {name for name, values in made.items() for value in values if not value[0].isalnum()}
    assert odd - {"AIRFLOW_FERNET_KEY"} == set()  # urlsafe base64 by definition, never an argument
    passwords = {name for name in made if "PASSWORD" in name}
    assert {n for n in passwords for value in made[n] if not value[0].isalpha()} == set()


def test_existing_secrets_are_kept_and_missing_ones_added(checkout: Path) -> None:
    (checkout / ".env").write_text("# mine\nPOSTGRES_PASSWORD=kept\nexport ELASTIC_PASSWORD=too")
    make_secrets(checkout)
    once = (checkout / ".env").read_text()
    assert once.startswith("# mine\nPOSTGRES_PASSWORD=kept\nexport ELASTIC_PASSWORD=too\n")
    assert once.count("POSTGRES_PASSWORD=") == once.count("ELASTIC_PASSWORD=") == 1
    assert "already contains every secret" in make_secrets(checkout)
    assert (checkout / ".env").read_text() == once


@pytest.mark.parametrize(
    "text",
    [
        "REDIS_PASSWORD=\n",
        "REDIS_PASSWORD=\nX=2\n",
        "REDIS_PASSWORD=  \n\n# REDIS_PASSWORD=old\nX=2\n",
        "REDIS_PASSWORD= # to be done\nX=2\n",
        "REDIS_PASSWORD=''\nX=2\n",
        'export REDIS_PASSWORD=""\nX=2\n',
    ],
)
def test_an_empty_secret_counts_as_missing(checkout: Path, text: str) -> None:
    (checkout / ".env").write_text(text)
    make_secrets(checkout)
    assert re.findall(r"^REDIS_PASSWORD=(\S{40,})$", (checkout / ".env").read_text(), re.MULTILINE)


def test_folders_are_created(checkout: Path) -> None:
    make_secrets(checkout)
    for name in ("data", "data/stack", "artifacts", "reports"):
        assert (checkout / name).stat().st_uid == (os.getuid() or 50000), name
    assert (checkout / "data" / "local").is_dir()


@needs_root
def test_root_makes_the_user_of_the_containers_the_owner_of_mounted_folders(checkout: Path) -> None:
    postgres = checkout / "data" / "local" / "postgres"
    version, outside = checkout / "artifacts" / "m" / "v1", checkout / "outside"
    for folder in (postgres, checkout / "data" / "services", version, outside):
        folder.mkdir(parents=True)
    (checkout / "data" / "link").symlink_to(outside)
    (checkout / ".env").write_text("AIRFLOW_UID=4711\n")
    make_secrets(checkout)
    for name in ("data", "data/stack", "artifacts", "artifacts/m/v1", "reports"):
        assert (checkout / name).stat().st_uid == 4711, name
    for name in ("data/local", "data/local/postgres", "data/services", "outside"):
        assert (checkout / name).stat().st_uid == 0, name


@needs_root
def test_a_second_call_changes_the_owner_of_files_that_root_wrote_since(checkout: Path) -> None:
    (checkout / ".env").write_text("AIRFLOW_UID=4711\n")
    make_secrets(checkout)
    later = checkout / "artifacts" / "m" / "v9" / "manifest.json"
    later.parent.mkdir(parents=True)
    later.touch()
    make_secrets(checkout)
    assert {path.stat().st_uid for path in (later, *later.parents[:3])} == {4711}


@needs_root
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no /usr/bin/python3 here")
def test_another_user_gets_the_chown_command_and_exit_code_1(reachable: Path) -> None:
    checkout = reachable
    user = 4711
    for name in ("data/local", "data/stack", "artifacts"):
        (checkout / name).mkdir(parents=True)
    for folder in (checkout, checkout / "data" / "local"):
        os.chown(folder, user, -1)
    done = run(checkout, user=user)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    command = next(line.strip() for line in lines if line.strip().startswith("sudo "))
    asked = [part.split() for part in command.replace("sudo ", "").split(" && ")]
    for words in asked:
        subprocess.run(words, cwd=checkout, check=True)
    assert (checkout / "data" / "local").stat().st_uid == user
    assert run(checkout, user=user).returncode == 0


@pytest.mark.parametrize("user", ["0", "root", "-1"])
def test_an_invalid_user_of_the_containers_is_rejected(checkout: Path, user: str) -> None:
    (checkout / ".env").write_text(f"AIRFLOW_UID={user}\n")
    done = run(checkout)
    assert done.returncode == 1
    assert "AIRFLOW_UID" in done.stdout + done.stderr


def copy_what_is_mounted(checkout: Path, module: ModuleType) -> None:
    for name in module.READ_BY_CONTAINERS:
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


@pytest.mark.parametrize("umask", [0o027, 0o077], ids=oct)
def test_mounted_files_are_readable_for_all_users_after_any_umask(
    checkout: Path, module: ModuleType, umask: int
) -> None:
    copy_what_is_mounted(checkout, module)
    (checkout / "compose" / "away").symlink_to(checkout / "private")
    (checkout / "private").mkdir(mode=0o700)
    for path in checkout.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~umask)
    make_secrets(checkout)
    unread = [
        path
        for name in module.READ_BY_CONTAINERS
        for path in ((checkout / name), *(checkout / name).rglob("*"))
        if not path.is_symlink()
        and stat.S_IMODE(path.stat().st_mode) & 0o005 != (0o005 if path.is_dir() else 0o004)
    ]
    assert unread == []
    assert stat.S_IMODE((checkout / "private").stat().st_mode) == 0o700
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_every_file_mounted_read_only_or_copied_is_listed(module: ModuleType) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounted = {
        Path(volume.split(":")[0])
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./") and volume.endswith(":ro")
    }
    copied = {
        Path(source)
        for source in re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
        if "requirements" not in source  # read by root during the build
    }
    readable = [Path(name) for name in module.READ_BY_CONTAINERS]
    data = {Path("data"), Path("data/stack"), Path("artifacts")}  # readable for their owner only
    missing = [
        path
        for path in (mounted - data) | copied
        if not any(path.is_relative_to(known) for known in readable)
    ]
    assert missing == []
