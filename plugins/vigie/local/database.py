"""The platform's database: started alone for a single command, or first of all by ``vigie up``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pydantic import SecretStr

from vigie.errors import ConflictError
from vigie.local.folders import take_lock
from vigie.local.probes import probe_postgres, wait_for
from vigie.local.processes import end, platform_processes
from vigie.local.programs import POSTGRES
from vigie.local.state import Platform, make_platform
from vigie.local.supervision import Supervisor
from vigie.settings import DatabaseSettings, Settings

Tell = Callable[[str], None]
_PATIENCE_S = 300  # longer than the slowest `vigie up` that still succeeds


@contextmanager
def exclusive(platform: Platform, tell: Tell) -> Iterator[None]:
    """Let one command at a time start or stop this platform; the others wait for it.

    Raises
    ------
    ConflictError
        If the other one takes longer than anything that could succeed.
    """
    folder = platform.folder / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline, has_told = time.monotonic() + _PATIENCE_S, False
    while True:
        try:
            handle = take_lock(folder / "command.lock")
            break
        except ConflictError:
            if time.monotonic() > deadline:
                raise ConflictError("another vigie command holds the platform") from None
        if not has_told:
            tell("Waiting for another vigie command that starts or stops this platform …")
            has_told = True
        time.sleep(0.2)
    try:
        yield
    finally:
        os.close(handle)


def end_orphans(platform: Platform, tell: Tell) -> None:
    """End what a killed supervisor left behind; nobody would restart or stop it."""
    if not Supervisor(platform).is_running():
        left = end(platform_processes(platform))
        if left:
            tell(f"Ended {left} processes that a killed supervisor had left behind.")


def start_database(platform: Platform, supervisor: Supervisor, timeout_s: float = 60) -> None:
    """Start PostgreSQL and wait for a login; make the roles and databases that are missing."""
    supervisor.start()
    supervisor.launch(POSTGRES)
    wait_for(lambda: probe_postgres(platform), supervisor, (POSTGRES,), timeout_s)
    platform.postgres.create_databases(platform.init_script, platform.database_passwords)


def migrate_records(url: str) -> None:
    """Bring the tables of our records to this version."""
    from vigie.adapters.postgres.migrate import upgrade

    upgrade(url)


def named_database(settings: Settings) -> str | None:
    """Return the URL of the database that the user named, None where the embedded one is used."""
    url, source = settings.database.url, settings.source("VIGIE_DATABASE_URL")
    return None if url is None or source == "platform.toml" else url.get_secret_value()


def ensure_database(settings: Settings, *, tell: Tell) -> Settings:
    """Return settings whose database answers and has the tables of this version.

    The embedded one is started alone where it is down; one that the user named is migrated, no
    more. Tasks, triggers and serving do not call this.
    """
    if (named := named_database(settings)) is not None:
        migrate_records(named)
        return settings
    platform, _ = make_platform(settings.paths.root)
    if not platform.postgres.is_running():
        with exclusive(platform, tell):
            end_orphans(platform, tell)
            start_database(platform, Supervisor(platform))
        tell("Started the embedded PostgreSQL; it runs until: vigie down")
    url = platform.database_url("vigie")
    migrate_records(url)
    return replace(settings, database=DatabaseSettings(VIGIE_DATABASE_URL=SecretStr(url)))
