"""The embedded PostgreSQL: a server for one user, with its data in one folder.

It listens only on a unix socket in a private folder, and requires a password.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import psycopg2

from vigie.errors import TransientError
from vigie.local import postgres_folder
from vigie.local.folders import socket_folder
from vigie.local.postgres_binaries import program, run, unprivileged

SUPERUSER = "postgres"
# Durable settings for a laptop and about forty connections: small caches and no replication.
# Parallel workers are disabled because they need more /dev/shm than containers have.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server whose data is in ``folder``.

    Parameters
    ----------
    folder
        Any path; created by :meth:`initialise`.
    password
        Password of the superuser.
    durable
        False is for tests: a crash of the machine may then lose committed data.

    Examples
    --------
    >>> server = EmbeddedPostgres(Path("/data/postgres"), "p@ss")
    >>> server.url("vigie").split("?")[0]
    'postgresql+psycopg2://postgres:p%40ss@/vigie'
    """

    def __init__(self, folder: Path, password: str, *, durable: bool = True) -> None:
        self.folder = folder
        self.password = password
        self.sockets = socket_folder(folder)
        self._settings = _SETTINGS | ({} if durable else _NOT_DURABLE)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the SQLAlchemy URL of a database; the password defaults to the superuser's."""
        login = f"{quote(user, safe='')}:{quote(password or self.password, safe='')}"
        return f"postgresql+psycopg2://{login}@/{quote(database)}?host={quote(str(self.sockets))}"

    def initialise(self) -> None:
        """Create the data folder atomically; do nothing if it exists."""
        postgres_folder.initialise(self.folder, SUPERUSER, self.password)

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = self._settings | {"unix_socket_directories": f'"{self.sockets}"'}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [*unprivileged(), program("postgres"), "-D", str(self.folder), *options]

    def run_in_foreground(self) -> NoReturn:
        """Replace this process with the server; :mod:`vigie.local.launch` calls this."""
        self.initialise()
        handle = postgres_folder.lock(self.folder, self.sockets, self.is_running)
        os.set_inheritable(handle, True)
        command = self.command()
        os.execv(command[0], command)

    def start(self, timeout_s: float = 60) -> None:
        """Run the server as a child process, and wait until a login succeeds.

        Raises
        ------
        ConflictError
            If another process runs a server on the folder.
        TransientError
            If the server exits or no login succeeds in time; the message contains the end of the
            server's log.
        """
        self.initialise()
        handle = postgres_folder.lock(self.folder, self.sockets, self.is_running)
        log = self.folder.with_name(f"{self.folder.name}.log")
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command(),
                    pass_fds=[handle],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
        finally:
            os.close(handle)
        self._wait(time.monotonic() + timeout_s, log)

    def _wait(self, deadline: float, log: Path) -> None:
        while not self.is_running():
            gone = self._process is None or self._process.poll() is not None
            if gone or time.monotonic() > deadline:
                self.stop()
                words = log.read_text(errors="replace")[-2000:]
                raise TransientError(f"PostgreSQL in {self.folder} did not start:\n{words}")
            time.sleep(0.03)

    def stop(self, timeout_s: float = 30) -> None:
        """Stop the server that :meth:`start` started; clients are disconnected."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        with contextlib.suppress(OSError):
            self.sockets.rmdir()

    @property
    def pid(self) -> int | None:
        """Process id of the server; None before :meth:`start` and after :meth:`stop`."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Return whether a login of the superuser succeeds."""
        return not self.login_error()

    def login_error(self) -> str:
        """Try to log in; return the error message, or an empty string after a success."""
        try:
            psycopg2.connect(
                host=str(self.sockets),
                user=SUPERUSER,
                password=self.password,
                dbname="postgres",
                connect_timeout=3,
            ).close()
        except psycopg2.OperationalError as exc:
            return str(exc).strip() or "no answer"
        return ""

    def create_databases(self, script: Path, passwords: Mapping[str, str]) -> None:
        """Run ``init-db.sql``: create missing roles and databases, and set the passwords.

        ``passwords`` maps the roles ``airflow``, ``mlflow`` and ``vigie`` to their passwords.
        """
        secret = {f"{name.upper()}_DB_PASSWORD": value for name, value in passwords.items()}
        login = {"PGHOST": str(self.sockets), "PGUSER": SUPERUSER, "PGPASSWORD": self.password}
        quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
        run([program("psql"), *quiet, "-f", str(script)], os.environ | login | secret)
