"""The command ``vigie models``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, project_root: Path) -> Path:
    """Return a project folder with one model that is ready and one that waits for data."""
    models = tmp_path / "home" / "models"
    models.mkdir(parents=True)
    for name in ("breast_cancer.toml", "lung_cancer.toml"):
        shutil.copy(project_root / "models" / name, models)
    return models.parent


def vigie(home: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "VIGIE_HOME": str(home), "COLUMNS": "300"}
    done = subprocess.run(
        [sys.executable, "-Im", "vigie.cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    return done.returncode, done.stdout + done.stderr


def test_list_shows_states_and_where_to_put_a_missing_table(
    home: Path,
) -> None:
    code, out = vigie(home, "models", "list")

    assert code == 0, out
    ready, waiting = (
        next(line for line in out.splitlines() if n in line)
        for n in ("breast_cancer", "lung_cancer")
    )
    assert "ready" in ready
    assert "waiting for data" in waiting
    assert str(home / "data" / "lung_cancer" / "survey_lung_cancer.csv") in waiting


def test_list_shows_the_copy_of_the_champion_while_the_database_is_down(home: Path) -> None:
    from datetime import UTC, datetime

    from vigie.adapters.bundles.directory import BundleDirectory
    from vigie.records import Deployment

    at = datetime(2026, 11, 21, tzinfo=UTC)
    BundleDirectory(home / "artifacts").write_champion(
        Deployment("breast_cancer", 1, 7, None, at, "ann", "first")
    )

    assert "v7 (copy)" in vigie(home, "models", "list")[1]


def test_show_lists_the_accepted_values_of_each_feature(home: Path) -> None:
    code, out = vigie(home, "models", "show", "lung_cancer")

    assert code == 0, out
    assert "a whole number from 18 to 120" in out
    assert "logged only" in out


def test_show_of_an_unknown_model_lists_all_models(home: Path) -> None:
    code, out = vigie(home, "models", "show", "lung")

    assert code == 2
    assert "available: breast_cancer, lung_cancer" in out


def test_check_of_valid_files_exits_with_0(home: Path) -> None:
    assert vigie(home, "models", "check")[0] == 0


def test_check_of_an_invalid_file_exits_with_2_and_prints_table_key_and_reason(home: Path) -> None:
    path = home / "models" / "breast_cancer.toml"
    path.write_text(path.read_text().replace("holdout_share", "holdout_shore"))

    code, out = vigie(home, "models", "check")

    assert code == 2
    expected = "models/breast_cancer.toml: [training] holdout_shore: unknown key"
    assert f"{expected}; did you mean holdout_share?" in out


def test_check_reads_the_reference_table(home: Path) -> None:
    table = home / "data" / "lung_cancer" / "survey_lung_cancer.csv"
    table.parent.mkdir(parents=True)
    table.write_text("GENDER,AGE\nM,60\n")

    code, out = vigie(home, "models", "check", "models/lung_cancer.toml")

    assert code == 2
    assert "the columns SMOKING" in out
