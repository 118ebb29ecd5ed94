"""Outages of a real broker that is killed: waits are limited and no line is lost.

In a few of many runs, a signal ended the process of the client when its broker was killed. In
production, Airflow or a supervisor starts the process again. Here, the cases run in a process of
their own. After a signal it is started again, with a warning, and must then succeed.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("outage_cases.py")
N_STARTS = 3


@pytest.mark.usefixtures("kafka_servers")
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default:signal")
def test_a_killed_broker_loses_no_line(project_root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-m", "pytest", str(CASES), "-q", "-p", "no:randomly"]
    for number in range(N_STARTS):
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", f"--basetemp={tmp_path / str(number)}"],
            cwd=project_root,
            capture_output=True,
            text=True,
        )
        if done.returncode >= 0:
            break
        text = f"signal {-done.returncode} ended the client: {done.stderr[-500:]}"
        warnings.warn(text, stacklevel=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES.read_text().count('def test_')} passed" in done.stdout
