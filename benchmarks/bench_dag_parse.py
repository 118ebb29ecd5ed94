"""Measure the time to parse each DAG file, without the import of Airflow; the target is 50 ms.

Airflow's ``DagBag`` parses each file in new interpreters outside the checkout. The result is the
median processor time, which other programs on the machine hardly change. Exits with 1 if a file is
above the target.

    python -I benchmarks/bench_dag_parse.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET_MS = 50.0
# Airflow is imported and has parsed one DAG before the measurement, which excludes its own cost.
PROBE = """
import json, sys, time
start = time.process_time()
import airflow.sdk, airflow.sdk.exceptions
from airflow.dag_processing.dagbag import DagBag
DagBag(sys.argv[2])
airflow_s = time.process_time() - start
start = time.process_time()
bag = DagBag(sys.argv[1])
file_s = time.process_time() - start
assert not bag.import_errors, bag.import_errors
print(json.dumps([airflow_s * 1000, file_s * 1000]))
"""
EMPTY = "from airflow.sdk import DAG\nDAG('empty', schedule=None)\n"


def measure(path: Path, home: Path) -> tuple[float, float]:
    """Return milliseconds for importing Airflow with an empty DAG, and for parsing this file."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(path), str(home / "empty.py")],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    airflow_ms, file_ms = json.loads(done.stdout.splitlines()[-1])
    return airflow_ms, file_ms


def main(rounds: int) -> int:
    """Print one line per file and the slowest last; return the exit code."""
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder:
        home = Path(folder)
        (home / "empty.py").write_text(EMPTY)
        for path in sorted((ROOT / "airflow" / "dags").glob("*.py")):
            runs = [measure(path, home) for _ in range(rounds)]
            costs[path.stem] = statistics.median(file_ms for _, file_ms in runs)
            airflow_ms = statistics.median(ms for ms, _ in runs)
            print(
                f"{path.stem:32} {costs[path.stem]:7.1f} ms above Airflow's {airflow_ms:.0f} ms"
                f"  (runs: {', '.join(f'{ms:.1f}' for _, ms in runs)})"
            )
    worst = max(costs, key=lambda name: costs[name])
    print(
        f"worst: {worst} {costs[worst]:.1f} ms; target {TARGET_MS:.0f} ms; "
        f"ratio {costs[worst] / TARGET_MS:.2f}"
    )
    return int(costs[worst] > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
