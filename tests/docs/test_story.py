"""Run the commands of the guides in the order of a first use."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.ports import free_port

# (command line as printed in a guide, text that its output must contain)
BEFORE_SERVING = (
    ("vigie --version", "vigie "),
    ("vigie models check", "my_model.toml: valid"),
    ("vigie models list", "waiting for data"),
    ("vigie models show my_model", "average_precision"),
    ("vigie retrain --model my_model", "my_model v1"),
    ("vigie retrain --model breast_cancer", "breast_cancer v1"),
    ("vigie why --model breast_cancer", "v1"),
)
WHILE_SERVING = (
    ("vigie simulate --model breast_cancer --n 500 --feedback 0.8", "500 answered"),
    ("vigie simulate --model breast_cancer --n 500 --shift mean_radius=+5", "500 answered"),
    ("vigie logs once", "100 lines collected"),
    ("vigie logs check-indices", "ml-api-perfs"),
    ("vigie logs export", "Rows in the Parquet file: 100"),
    ("vigie logs deduplicate", "0"),
    ("vigie logs dead-letters", ""),
    ("vigie logs replay", "Replayed 0"),
    ("vigie drift report --model breast_cancer --hours 6", "drift"),
    ("vigie drift analyze --reference a.csv --current b.parquet --output page.html", "page.html"),
    ("vigie drift analyze --model breast_cancer", "data_drift_report.html"),
    ("vigie why --model breast_cancer", "drift"),
    ("vigie promote --model my_model --to 1 --force", "my_model v1"),
    ("vigie logs clear --yes", "100 documents deleted"),
    ("vigie stream topic", "created"),
    ("vigie stream ingest", "lines"),
)
# The other commands, with the test that runs each.
ELSEWHERE = {
    "vigie init": "tests/local/test_commands.py",
    "vigie up": "tests/stack/test_platform.py",
    "vigie status": "tests/local/test_commands.py",
    "vigie down": "tests/local/test_commands.py",
    "vigie check": "tests/local/test_commands.py",
    "vigie backup": "tests/stack/test_platform.py",
    "vigie airflow": "tests/local/test_commands.py",
    "vigie demo": ".ci/run",
    "vigie rollback": "tests/cli/test_retrain.py",
    "vigie logs run": "tests/cli/test_logs.py",
    "vigie logs expire": "tests/cli/test_logs.py",
    "vigie stream consume": "tests/cli/test_stream.py",
    "vigie stream run": "tests/cli/test_stream.py",
    "vigie anomaly train": "tests/cli/test_stream.py",
    "vigie anomaly evaluate": "tests/cli/test_stream.py",
    "vigie anomaly explain": "tests/cli/test_stream.py",
}
RUN_HERE = [line for line, _ in (*BEFORE_SERVING, *WHILE_SERVING)]
Type = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path, project_root: Path) -> Path:
    """Create a project folder with a model and log files, as the guides describe."""
    home = tmp_path / "a project"
    shutil.copytree(project_root / "models", home / "models")
    mine = (home / "models" / "breast_cancer.toml").read_text(encoding="utf-8")
    (home / "models" / "my_model.toml").write_text(mine.replace('"breast_cancer"', '"my_model"', 1))
    logs = home / "data" / "kafka" / "log-1"
    logs.mkdir(parents=True)
    (logs / "a.txt").write_text("one line\nanother line\n")
    table = pd.DataFrame({"x": range(200), "target": [0, 1] * 100})
    table.to_csv(home / "a.csv", index=False)
    table.assign(x=table["x"] + 500).to_parquet(home / "b.parquet")
    return home


@pytest.fixture
def environment(home: Path, database_url: str) -> dict[str, str]:
    port = free_port()
    return {
        **os.environ,
        "VIGIE_HOME": str(home),
        "VIGIE_DATABASE_URL": database_url,
        "VIGIE_SERVING_PORT": str(port),
        "GRADIO_URL": f"http://127.0.0.1:{port}/ui",
        "MLFLOW_ENABLED": "false",
        "COLUMNS": "200",
    }


@pytest.fixture
def typed(home: Path, environment: dict[str, str]) -> Type:
    """Return a function that runs a command line in the project folder and checks its exit code."""

    def run(line: str) -> str:
        done = subprocess.run(
            [sys.executable, "-Im", "vigie.cli.main", *line.split()[1:]],
            env=environment, cwd=home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture
def serve(home: Path, environment: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Return a function that starts ``vigie serve`` and waits for it; stop it after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [sys.executable, "-Im", "vigie.cli.main", "serve"]
        with (home / "serving.log").open("wb") as log:
            running.append(
                subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
            )
        url = f"http://127.0.0.1:{environment['VIGIE_SERVING_PORT']}/ready"
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    json.load(answer)
                return
            except OSError:
                if time.monotonic() > deadline or running[0].poll() is not None:
                    raise AssertionError((home / "serving.log").read_text()) from None
                time.sleep(0.5)

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(600)
def test_the_commands_of_the_guides_work_in_the_order_of_a_first_use(
    typed: Type, serve: Callable[[], None], home: Path
) -> None:
    for line, said in BEFORE_SERVING:
        assert said in typed(line), line
    serve()
    for line, said in WHILE_SERVING:
        assert said in typed(line), line
    assert (home / "page.html").stat().st_size > 1000


def commands(command: Any, words: str = "vigie") -> Iterator[str]:
    """Yield every executable command."""
    if not hasattr(command, "commands"):
        yield words
    for name, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, f"{words} {name}")


def test_every_command_is_run_here_or_by_the_named_test(
    vigie_command: Any, project_root: Path
) -> None:
    here = {c for c in commands(vigie_command) if any(line.startswith(c) for line in RUN_HERE)}
    assert set(commands(vigie_command)) == here | ELSEWHERE.keys() | {"vigie serve"}
    unnamed = [
        command
        for command, path in ELSEWHERE.items()
        if not re.search(
            rf"\b{command.split()[-1]}\b|bring_up|back_up",
            (project_root / path).read_text(encoding="utf-8"),
        )
    ]
    assert unnamed == []


def test_every_command_line_of_a_guide_is_run_here_or_by_the_named_test(
    guides: list[Any],
) -> None:
    printed = {
        " ".join(words).replace("NAME", "my_model")
        for page in guides
        for words in page.shell_lines()
        if words[0] == "vigie"
    }
    others = tuple(ELSEWHERE)
    assert {p for p in printed if p not in RUN_HERE and not p.startswith(others)} == set()
