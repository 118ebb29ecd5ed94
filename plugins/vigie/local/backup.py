"""``vigie backup``: the databases, copied consistently while they run."""

from __future__ import annotations

import os
from pathlib import Path

from vigie.encoding import atomic_path
from vigie.errors import TransientError
from vigie.local.postgres import SUPERUSER
from vigie.local.postgres_binaries import program, run
from vigie.local.state import DATABASES, Platform


def back_up(platform: Platform, folder: Path) -> list[Path]:
    """Write ``NAME.dump`` for each database (``pg_restore`` reads it), each whole or not at all.

    The copy of a running server's folder would be no backup.
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
