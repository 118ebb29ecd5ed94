"""Locate programs of Debian packages, and install them when running as root."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from servers.server import Notify
from vigie.errors import SettingsError

_POSTGRES = Path("/usr/lib/postgresql")


def find_program(name: str) -> str | None:
    """Return a program's path; ``/usr/sbin`` is searched even if ``PATH`` lacks it."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/bin:/usr/bin:/usr/sbin:/bin")


def find_postgres(name: str) -> str | None:
    """Return the path of a program of PostgreSQL 15 or, if missing, of the newest later version."""
    found = {
        int(path.parents[1].name): path
        for path in _POSTGRES.glob(f"*/bin/{name}")
        if re.fullmatch(r"\d+", path.parents[1].name) and int(path.parents[1].name) >= 15
    }
    return str(found[15 if 15 in found else max(found)]) if found else None


def install(program: str, package: str, notify: Notify, *, allowed: bool) -> None:
    """Install a package with apt-get.

    Raises
    ------
    SettingsError
        If apt-get is absent, fails or is not permitted; the message contains the command to run.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise SettingsError(f"{program} is not installed, and apt-get is not available")
    if not allowed or os.geteuid() != 0:
        raise SettingsError(
            f"{program} is not installed; run: sudo apt-get install -y {package} && make services"
        )
    notify(f"Installing the Debian package {package} (as root, with apt-get) …")
    _update(apt)
    problem = _run(apt, "install", "-y", "-qq", "--no-install-recommends", package)
    if problem:
        raise SettingsError(f"apt-get install {package} failed: {problem}")


@functools.cache
def _update(apt: str) -> None:
    """Update the package lists once; if this fails, the installation reports an error."""
    _run(apt, "update", "-qq")


def _run(*command: str) -> str:
    """Run a command; return the end of its error output if it failed, else an empty string."""
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or "no reason given")[-500:]
