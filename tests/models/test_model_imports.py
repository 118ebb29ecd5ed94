"""Importing :mod:`vigie.models` does not import slow packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["numpy", "pandas", "sklearn", "xgboost", "skops", "torch", "mlflow"]


@pytest.mark.parametrize(
    "module", ["names", "model_file", "catalog", "request", "reference", "tables"]
)
def test_the_model_domain_imports_no_heavy_library(module: str) -> None:
    code = f"import sys, vigie.models.{module}; print([m for m in {HEAVY} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_names_that_dag_files_use_do_not_load_pydantic() -> None:
    code = "import sys, vigie.models.names; print('pydantic' in sys.modules)"

    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_validation_imports_no_heavy_library(project_root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vigie.models.catalog import get_model;"
        f"get_model(Path(sys.argv[1]), 'fraud'); print([m for m in {HEAVY} if m in sys.modules])"
    )

    command = [sys.executable, "-Ic", code, str(project_root / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
