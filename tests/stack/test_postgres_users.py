"""The embedded PostgreSQL is accessible to one user only; root and normal users can run it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vigie.errors import SettingsError
from vigie.local.folders import private_folder, socket_folder
from vigie.local.postgres import EmbeddedPostgres
from vigie.local.postgres_binaries import program, unprivileged

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
NOBODY = pwd.getpwnam("nobody")

# All modules are imported before the user changes, who may have no access to the interpreter.
BECOME_NOBODY = f"""
import os, socket, sys, encodings.idna
from pathlib import Path
import psycopg2, psutil
from vigie.local.postgres import EmbeddedPostgres
os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})
folder = Path(sys.argv[1])
"""


def as_nobody(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", BECOME_NOBODY + code, str(folder)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Create a folder that belongs to ``nobody``; other users cannot access pytest's folders."""
    folder = Path(tempfile.mkdtemp(prefix="vigie test "))
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_another_user_cannot_reach_the_socket(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", "secret")
    server.start()
    code = f"""
import socket
try:
    socket.socket(socket.AF_UNIX).connect({str(server.sockets / ".s.PGSQL.5432")!r})
except PermissionError:
    print("refused")
try:
    psycopg2.connect(host={str(server.sockets)!r}, user="postgres", password="secret")
except psycopg2.OperationalError as exc:
    print("refused" if "Permission denied" in str(exc) else exc)
"""
    done = as_nobody(code, tmp_path)
    server.stop()
    assert done.stdout == "refused\nrefused\n", done.stderr


@needs_root
def test_a_normal_user_runs_it_without_a_user_namespace(open_folder: Path) -> None:
    reachable = subprocess.run(
        [program("postgres"), "--version"], user="nobody", capture_output=True, check=False, cwd="/"
    )
    if reachable.returncode != 0:
        pytest.skip("nobody cannot read this checkout")
    code = """
server = EmbeddedPostgres(folder / "a b" / "postgres", "secret")
server.start()
print(server.command()[0].endswith("/postgres"), server.is_running(), server.folder.stat().st_uid)
server.stop()
print(server.is_running())
"""
    done = as_nobody(code, open_folder)
    assert done.stdout == f"True True {NOBODY.pw_uid}\nFalse\n", done.stderr


@needs_root
def test_root_runs_it_in_a_user_namespace_and_keeps_its_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(tmp_path / "postgres", "secret")
    server.start()
    server.stop()
    assert Path(server.command()[0]).name == "unshare"
    assert {path.stat().st_uid for path in server.folder.iterdir()} == {0}


def test_root_without_user_namespaces_gets_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = tmp_path / "unshare"
    refuse.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    refuse.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    unprivileged.cache_clear()
    with pytest.raises(SettingsError, match=r"normal user, or set VIGIE_DATABASE_URL") as caught:
        unprivileged()
    unprivileged.cache_clear()
    assert caught.value.exit_code == 2


def test_modes_of_existing_folders_are_kept(tmp_path: Path) -> None:
    parent = tmp_path / "shared"
    parent.mkdir(mode=0o755)
    EmbeddedPostgres(parent / "postgres", "secret").initialise()
    assert (parent.stat().st_mode & 0o777, (parent / "postgres").stat().st_mode & 0o777) == (
        0o755,
        0o700,
    )


def test_a_socket_folder_with_another_mode_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="mode 0700"):
        private_folder(folder)


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "sockets").symlink_to(tmp_path / "target")
    with pytest.raises(SettingsError, match="not a folder"):
        private_folder(tmp_path / "sockets")


def test_a_socket_path_is_short_for_a_long_checkout_path(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a long name " * 8] * 4)
    assert len(str(socket_folder(deep) / ".s.PGSQL.5432.lock")) < 100


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(SettingsError, match="PostgreSQL 16"):
        EmbeddedPostgres(tmp_path / "postgres", "secret").initialise()


def test_a_folder_with_other_files_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "mine.txt").write_text("keep")
    with pytest.raises(SettingsError, match="cannot create"):
        EmbeddedPostgres(tmp_path / "postgres", "secret").initialise()
    assert [path.name for path in tmp_path.iterdir()] == ["postgres"]
