"""The platform's databases: start the embedded server, migrate the schema, back up.

``python -I -m vigie.local.database`` migrates the database of the settings. Use this command for a
database that ``vigie up`` does not manage, such as the database of the Compose stack.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from vigie.encoding import atomic_path
from vigie.errors import ConflictError, SettingsError, TransientError, VigieError
from vigie.local.folders import take_lock
from vigie.local.postgres import SUPERUSER
from vigie.local.postgres_binaries import program, run
from vigie.local.probes import probe_postgres, wait_for
from vigie.local.processes import end, platform_processes
from vigie.local.programs import POSTGRES
from vigie.local.state import DATABASES, Platform, make_platform
from vigie.local.supervision import Supervisor
from vigie.settings import DatabaseSettings, Settings
from vigie.wiring import upgrade_database

Echo = Callable[[str], None]
_LOCK_WAIT_S = 300  # longer than the slowest `vigie up` that still succeeds


@contextmanager
def exclusive(platform: Platform, echo: Echo) -> Iterator[None]:
    """Hold the platform's command lock; wait while another command starts or stops the platform.

    Raises
    ------
    ConflictError
        If the other command still holds the lock after five minutes.
    """
    folder = platform.folder / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline, has_waited = time.monotonic() + _LOCK_WAIT_S, False
    while True:
        try:
            handle = take_lock(folder / "command.lock")
            break
        except ConflictError:
            if time.monotonic() > deadline:
                raise ConflictError("another vigie command holds the platform's lock") from None
        if not has_waited:
            echo("Waiting for another vigie command that starts or stops this platform …")
            has_waited = True
        time.sleep(0.2)
    try:
        yield
    finally:
        os.close(handle)


def end_orphans(platform: Platform, echo: Echo) -> None:
    """End programs that are still running although their supervisor was killed."""
    if not Supervisor(platform).is_running():
        left = end(platform_processes(platform))
        if left:
            echo(f"Ended {left} processes of a supervisor that was killed.")


def start_database(platform: Platform, supervisor: Supervisor, timeout_s: float = 60) -> None:
    """Start PostgreSQL, wait until a login succeeds, and create missing roles and databases."""
    supervisor.start()
    supervisor.launch(POSTGRES)
    wait_for(lambda: probe_postgres(platform), supervisor, (POSTGRES,), timeout_s)
    platform.postgres.create_databases(platform.init_script, platform.database_passwords)


def external_database(settings: Settings) -> str | None:
    """Return the database URL that the user set; None if the embedded PostgreSQL is used."""
    url, source = settings.database.url, settings.source("VIGIE_DATABASE_URL")
    return None if url is None or source == "platform.toml" else url.get_secret_value()


def ensure_database(settings: Settings, *, echo: Echo) -> Settings:
    """Return settings whose database is running and migrated to this version.

    If the embedded PostgreSQL is used and not running, only PostgreSQL is started. An
    external database is only migrated. Only commands call this function.
    """
    if (external := external_database(settings)) is not None:
        upgrade_database(external)
        return settings
    platform, _ = make_platform(settings.paths.root)
    if not platform.postgres.is_running():
        with exclusive(platform, echo):
            end_orphans(platform, echo)
            start_database(platform, Supervisor(platform))
        echo("Started the embedded PostgreSQL; it runs until: vigie down")
    url = platform.database_url("vigie")
    upgrade_database(url)
    return replace(settings, database=DatabaseSettings(VIGIE_DATABASE_URL=SecretStr(url)))


def back_up(platform: Platform, folder: Path) -> list[Path]:
    """Write ``NAME.dump`` for each database with ``pg_dump``; ``pg_restore`` reads the files.

    Each dump is consistent and is written completely or not at all.
    """
    server = platform.postgres
    if not server.is_running():
        raise TransientError("the embedded PostgreSQL is not running; run: vigie up")
    login = {"PGHOST": str(server.sockets), "PGUSER": SUPERUSER, "PGPASSWORD": server.password}
    dumps = [folder / f"{name}.dump" for name in DATABASES]
    for name, dump in zip(DATABASES, dumps, strict=True):
        with atomic_path(dump) as temporary:
            temporary.chmod(0o600)
            options = ["--format=custom", f"--file={temporary}", name]
            run([program("pg_dump"), *options], os.environ | login)
    return dumps


def main() -> int:
    """Migrate the database of the settings; return the exit code."""
    try:
        url = Settings.from_env().database.url
        if url is None:
            raise SettingsError("no database is set; set VIGIE_DATABASE_URL")
        upgrade_database(url.get_secret_value())
    except VigieError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
