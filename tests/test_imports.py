"""Importing vigie has no side effects; the command line imports no slow package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAVY = {
    *("numpy", "pandas", "torch", "sklearn", "scipy", "xgboost", "mlflow", "evidently", "skops"),
    *("elasticsearch", "confluent_kafka", "gradio", "gradio_client", "sqlalchemy", "fastapi"),
    "airflow",
}
FOREIGN = {
    "KMP_DUPLICATE_LIB_OK": "scikit-learn's",
    "KMP_INIT_AT_FORK": "scikit-learn's",
    "_MLFLOW_TELEMETRY_SESSION_ID": "mlflow's",
}

# Airflow is imported first, because it creates a folder and sets variables.
EVERYTHING = """
import json, os, pkgutil, sys, threading
import airflow
import vigie

modules = (m.name for m in pkgutil.walk_packages(vigie.__path__, "vigie."))
names = [name for name in modules if not name.startswith("vigie.adapters.postgres.migrations")]
before, changes = dict(os.environ), {}
for name in names:
    __import__(name)
    after = dict(os.environ)
    for variable in before.keys() | after.keys():
        if before.get(variable) != after.get(variable):
            changes[variable] = name
    before = after
threads = [t.name for t in threading.enumerate() if not t.daemon][1:]
print(json.dumps({"names": names, "changes": changes, "threads": threads}))
"""


def python(code: str, folder: Path) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "VIGIE_HOME": str(folder / "empty"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }
    (folder / "empty").mkdir()
    (folder / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=environment, cwd=folder / "empty", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_every_module_writes_no_file_and_sets_no_variable(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(python(EVERYTHING, tmp_path).splitlines()[-1])

    assert len(found["names"]) > 150
    assert found["changes"].keys() - FOREIGN.keys() == set(), found["changes"]
    assert found["threads"] == []
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_command_line_imports_nothing_heavy(tmp_path: Path) -> None:
    loaded = python("import sys, vigie.cli.main; print(*sys.modules)", tmp_path).split()
    assert HEAVY & set(loaded) == set()
