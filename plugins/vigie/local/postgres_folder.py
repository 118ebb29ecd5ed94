"""The data folder of a PostgreSQL server: atomic creation, and a lock.

The server and its children inherit the file descriptor of the lock. So the lock is held until no
process can write to the folder, even if the postmaster is killed.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from vigie.errors import ConflictError, SettingsError
from vigie.local.folders import private_folder, take_lock
from vigie.local.postgres_binaries import MAJOR, program, run, unprivileged

# Sort strings in the same order on every machine, independently of its locales.
_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "-E", "UTF8")


def initialise(folder: Path, superuser: str, password: str) -> None:
    """Create a database cluster in ``folder``, unless the folder already contains a cluster.

    Raises
    ------
    SettingsError
        If the folder contains other files or another major version, or PostgreSQL cannot run here.
    """
    if _is_made(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    try:
        _initdb(fresh, superuser, password)
        fresh.rename(folder)  # fails if another process created it first
    except OSError as exc:
        if not _is_made(folder):
            raise SettingsError(f"cannot create {folder}: {exc}") from exc
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _is_made(folder: Path) -> bool:
    version = folder / "PG_VERSION"
    if not version.exists():
        return False
    found = version.read_text().strip()
    if found != MAJOR:
        raise SettingsError(f"{folder} was created by PostgreSQL {found}, expected {MAJOR}")
    return True


def _initdb(folder: Path, superuser: str, password: str) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="vigie-") as secret:  # mode 0600
        secret.write(password)
        secret.flush()
        login = ["-A", "scram-sha-256", f"--pwfile={secret.name}", "-U", superuser]
        where = ["--no-instructions", "-D", str(folder)]
        run([*unprivileged(), program("initdb"), *login, *_LOCALE, *where])


def lock(folder: Path, sockets: Path, is_running: Callable[[], bool], timeout_s: float = 10) -> int:
    """Take the folder's lock, create the socket folder, and remove files of a killed server.

    Raises
    ------
    ConflictError
        If a server is running on the folder, or children of a killed server are still running after
        ``timeout_s``.
    """
    waiting = Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, ConflictError) and not is_running()),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    try:
        handle = waiting(take_lock, folder / "vigie.lock")
    except ConflictError:
        raise ConflictError(f"a PostgreSQL server is already running on {folder}") from None
    private_folder(sockets)
    _clear(folder / "postmaster.pid", sockets)
    return handle


def _clear(pid_file: Path, sockets: Path) -> None:
    """Remove the files of a killed server: another process may have reused the id in its file."""
    if pid_file.exists() and _is_server(pid_file):
        raise ConflictError(
            f"a PostgreSQL server that vigie did not start uses {pid_file.parent}; stop it"
        )
    pid_file.unlink(missing_ok=True)
    for left in sockets.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _is_server(pid_file: Path) -> bool:
    first = pid_file.read_text().partition("\n")[0].strip()
    try:
        process = psutil.Process(int(first))
        return "postgres" in process.name() and Path(process.cwd()) == pid_file.parent.resolve()
    except (psutil.Error, ValueError):
        return False
