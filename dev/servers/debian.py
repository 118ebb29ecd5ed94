"""Programs of Debian packages: found where they are, installed only by root."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from servers.server import Tell
from vigie.errors import SettingsError

_POSTGRES = Path("/usr/lib/postgresql")


def find_program(name: str) -> str | None:
    """Return a program's path; the shell's ``PATH`` need not have ``/usr/sbin``."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/bin:/usr/bin:/usr/sbin:/bin")


def find_postgres(name: str) -> str | None:
    """Return a program of the system's PostgreSQL: of version 15, else of the newest after it."""
    found = {
        int(path.parents[1].name): path
        for path in _POSTGRES.glob(f"*/bin/{name}")
        if re.fullmatch(r"\d+", path.parents[1].name) and int(path.parents[1].name) >= 15
    }
    return str(found[15 if 15 in found else max(found)]) if found else None


def install(program: str, package: str, tell: Tell, *, allowed: bool) -> None:
    """Install a package with apt if this user may.

    Raises
    ------
    SettingsError
        If not; it names the command.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise SettingsError(f"{program} is not installed, and there is no apt-get to install it")
    if not allowed or os.geteuid() != 0:
        raise SettingsError(
            f"{program} is not installed; run: sudo apt-get install -y {package} && make services"
        )
    tell(f"Installing the Debian package {package} (as root, with apt-get) …")
    _update(apt)
    problem = _run(apt, "install", "-y", "-qq", "--no-install-recommends", package)
    if problem:
        raise SettingsError(f"apt-get install {package} failed: {problem}")


@functools.cache
def _update(apt: str) -> None:
    """Read the package lists once; where that fails the install will tell."""
    _run(apt, "update", "-qq")


def _run(*command: str) -> str:
    """Return the last words of a command that failed, or nothing."""
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or "no reason given")[-500:]
