"""``vigie airflow …``: Airflow's own command line in the platform's environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from vigie.errors import TransientError
from vigie.local.environments import program_environment, read_overrides, user_overrides
from vigie.local.state import Platform


def run_airflow(platform: Platform, arguments: Sequence[str]) -> NoReturn:
    """Become ``airflow ARGUMENTS``; its exit code is ours.

    Raises
    ------
    TransientError
        If Airflow's database is the embedded one and does not run.
    """
    overrides = read_overrides(platform)
    if overrides is None:
        overrides = user_overrides(platform.root)
    is_ours = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in overrides
    if is_ours and not platform.postgres.is_running():
        raise TransientError("Airflow's database is not running; run: vigie up")
    command = [sys.executable, "-I", "-m", "airflow", *arguments]
    os.execve(command[0], command, program_environment(platform, overrides, "airflow"))
