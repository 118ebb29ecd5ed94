"""The system's PostgreSQL 15, the oldest server version that the platform supports."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from urllib.parse import quote

import psycopg2

from servers import debian
from servers.debian import find_postgres
from servers.server import Notify, Server
from servers.state import Site
from vigie.errors import TransientError
from vigie.local.folders import private_folder, socket_folder
from vigie.local.ports import LOOPBACK
from vigie.local.postgres_binaries import run, unprivileged

_SUPERUSER = "postgres"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "200",
    "fsync": "off",  # tests only: a crash of the machine may lose data
    "synchronous_commit": "off",
    "timezone": "UTC",
}


class PostgresServer(Server):
    """PostgreSQL over TCP with password authentication."""

    name = "postgres"
    ports = {"postgres": 15432}  # noqa: RUF012
    secrets = ("postgres",)
    stop_signal = signal.SIGINT  # fast shutdown: disconnects clients

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        if find_postgres("postgres") is None:
            debian.install("PostgreSQL 15", "postgresql-15", notify, allowed=install)
        unprivileged()

    def prepare(self, site: Site) -> None:
        folder = site.home(self.name) / "data"
        if (folder / "PG_VERSION").exists():
            return
        fresh = folder.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", prefix="vigie-") as secret:  # mode 0600
            secret.write(site.secret(self.name))
            secret.flush()
            login = ["-A", "scram-sha-256", f"--pwfile={secret.name}", "-U", _SUPERUSER]
            where = ["--locale=C", "-E", "UTF8", "--no-instructions", "-D", str(fresh)]
            run([*unprivileged(), str(find_postgres("initdb")), *login, *where])
        fresh.rename(folder)

    def command(self, site: Site) -> list[str]:
        folder = site.home(self.name) / "data"
        sockets = private_folder(socket_folder(folder))
        settings = _SETTINGS | {
            "port": str(site.ports["postgres"]),
            "unix_socket_directories": str(sockets),
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [*unprivileged(), str(find_postgres("postgres")), "-D", str(folder), *options]

    def tidy(self, site: Site) -> None:
        with contextlib.suppress(OSError):
            socket_folder(site.home(self.name) / "data").rmdir()

    def url(self, site: Site) -> str:
        login = f"{_SUPERUSER}:{quote(site.secret(self.name), safe='')}"
        return f"postgresql+psycopg2://{login}@{LOOPBACK}:{site.ports['postgres']}/postgres"

    def ask_version(self, site: Site) -> str:
        """Log in and return the server version."""
        try:
            connection = psycopg2.connect(
                host=LOOPBACK,
                port=site.ports["postgres"],
                user=_SUPERUSER,
                password=site.secret(self.name),
                dbname="postgres",
                connect_timeout=2,
            )
        except psycopg2.OperationalError as exc:
            raise TransientError(f"PostgreSQL: {exc}".strip()) from exc
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = str(cursor.fetchone()[0])  # type: ignore[index]
        connection.close()
        return version.split()[0]
