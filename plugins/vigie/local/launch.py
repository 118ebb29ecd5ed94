"""``python -I -m vigie.local.launch PROGRAM``: replace this process with a program of the platform.

The secrets are read from ``platform.toml``, so neither the command line nor the supervisor's
configuration contains a secret. Paths may contain blanks and percent signs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from vigie.errors import SettingsError
from vigie.local.environments import MARK, program_environment, read_overrides
from vigie.local.programs import POSTGRES, PROGRAMS
from vigie.local.state import Platform, read_platform


def program_command(platform: Platform, name: str) -> list[str]:
    """Return the command line of a program other than PostgreSQL, without secrets."""
    program = PROGRAMS[name]
    port = platform.ports[program.port] if program.port else ""
    words = (word.format(port=port) for word in program.arguments)
    return [sys.executable, "-I", "-m", *words]


def main(name: str) -> NoReturn:
    """Replace this process with the program ``name``."""
    root = Path(os.environ["VIGIE_HOME"])
    platform = read_platform(root)
    if platform is None:
        raise SettingsError(f"{root} has no local platform; run: vigie init")
    if name == POSTGRES.name:
        platform.postgres.run_in_foreground()
    environment = program_environment(platform, read_overrides(platform) or {}, name)
    command = program_command(platform, name)
    os.execve(command[0], command, environment | {MARK: platform.mark})


if __name__ == "__main__":
    main(sys.argv[1])
