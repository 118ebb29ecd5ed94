"""Make targets call the commands that they document."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TARGETS = {
    "pipeline-check": "check",
    "pipeline-once": "logs once",
    "pipeline-continuous": "logs run",
    "pipeline-test-indexes": "logs check-indices",
    "pipeline-clear-indexes": "logs clear",
    "pipeline-clear-indexes YES=--yes": "logs clear --yes",
    "pipeline-deduplicate": "logs deduplicate",
    "pipeline-export-parquet": "logs export",
    "pipeline-export-parquet MODEL=lung_cancer": "logs export --model lung_cancer",
    "pipeline-analyze-drift": "drift analyze",
    "pipeline-analyze-drift MODEL=lung_cancer": "drift analyze --model lung_cancer",
    "demo": "demo",
    "up": "up",
    "down": "down",
    "status": "status",
    "check": "check",
}


def make(project_root: Path, *arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is not on this machine")
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=project_root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(("target", "command"), TARGETS.items())
def test_a_target_calls_its_command(target: str, command: str, project_root: Path) -> None:
    install, call = make(project_root, "-n", *target.split()).splitlines()
    assert install == "sh scripts/install.sh"
    assert call.strip() == f".venv/bin/vigie {command}"


def test_help_lists_every_target(project_root: Path, make_targets: set[str]) -> None:
    listed = make(project_root, "help")
    assert {target for target in make_targets if target not in listed} == set()
