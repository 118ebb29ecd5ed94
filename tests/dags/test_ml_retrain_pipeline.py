"""``ml_retrain_pipeline``: its structure, and whole runs by Airflow on real rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
STEPS = [
    "check_triggers",
    "backup_current_model",
    "merge_training_data",
    "train_candidate",
    "select_best",
    "gate",
    "promote_model",
    "archive_production_data",
]

PROBE = """
import json, shutil, sys
from contextlib import nullcontext
from pathlib import Path
from airflow.utils.db import upgradedb
upgradedb()
from airflow.dag_processing.dagbag import DagBag
from vigie.operators.base import JobOperator
from vigie.settings import Settings
from vigie.testing import FakeServices

root, home = Path(sys.argv[1]), Path(sys.argv[2])
services = FakeServices(home)
for path in (root / "models").glob("*.toml"):
    shutil.copy(path, services.paths.models)
toml = services.paths.models / "breast_cancer.toml"

JobOperator.opened = staticmethod(lambda context: nullcontext((services, Settings.from_env())))
dag = DagBag(root / "airflow" / "dags" / "ml_retrain_pipeline.py").dags["ml_retrain_pipeline"]
results = {}

def run(name, **conf):
    done = dag.test(run_conf=conf)
    champion = services.deployments.champion("breast_cancer")
    states = {}
    for ti in done.get_task_instances():
        states.setdefault(ti.task_id, set()).add(str(ti.state))
    results[name] = {
        "state": str(getattr(done.state, "value", done.state)),
        "tasks": {k: sorted(v) for k, v in states.items()},
        "champion": champion and champion.version,
        "metrics": sorted({s.name for g in services.metrics.groups.values() for s in g}),
        "pushed_for": sorted({dict(k[1]).get("model", "") for k in services.metrics.groups}),
        "reports": sorted(p.name for p in (services.paths.reports / "retrain").glob("*")),
        "actors": sorted({d.actor for d in services.ledger.rows}),
    }

run("first")
run("nothing_to_do")
toml.write_text(toml.read_text().replace("min_gain = 0.0", "min_gain = 0.5"))
run("refused", model="breast_cancer", force=True)
(services.paths.artifacts / "breast_cancer" / "v1" / "model.skops").write_bytes(b"damaged")
run("damaged_champion", model="breast_cancer", force=True)
print()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def dag() -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    path = ROOT / "airflow" / "dags" / "ml_retrain_pipeline.py"
    return DagBag(path).dags["ml_retrain_pipeline"]


def names_of_models() -> list[str]:
    return sorted(path.stem for path in (ROOT / "models").glob("*.toml"))


def test_every_model_file_has_its_group(dag: DAG) -> None:
    groups = {task.task_id.split(".")[0] for task in dag.tasks if "." in task.task_id}
    assert sorted(groups) == names_of_models()


@pytest.mark.parametrize("model", names_of_models())
def test_the_steps_of_a_model_follow_each_other(dag: DAG, model: str) -> None:
    for step, following in zip(STEPS, [*STEPS[1:], None], strict=True):
        after = dag.get_task(f"{model}.{step}").downstream_task_ids
        assert after == ({f"{model}.{following}"} if following else {"notify"})


def test_each_candidate_of_the_model_file_has_a_training_task(dag: DAG) -> None:
    mapped = dag.get_task("breast_cancer.train_candidate")
    assert mapped.expand_input.value["candidate"] == [
        "logistic_regression",
        "random_forest",
        "xgboost",
    ]


def test_it_runs_daily_and_after_a_report_of_drift_or_low_performance(dag: DAG) -> None:
    assert dag.timetable.__class__.__name__ == "AssetOrTimeSchedule"
    assets = {asset.name for asset in dag.timetable.asset_condition.objects}
    assert assets == {"drift_detected", "performance_degraded"}


def test_an_unknown_model_cannot_be_requested(dag: DAG) -> None:
    assert dag.params.get_param("model").schema["enum"] == [None, *names_of_models()]


def test_thresholds_are_empty_by_default(dag: DAG) -> None:
    for name in ("min_rows", "drift_share", "performance_floor"):
        assert dag.params[name] is None


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(ROOT), str(tmp_path_factory.mktemp("vigie"))],
        cwd="/",
        env=os.environ
        | {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.airflow
@pytest.mark.timeout(600)
class TestRuns:
    """Airflow runs the DAG with stores in memory."""

    def test_the_first_run_deploys_a_champion_and_skips_models_without_data(
        self, runs: dict[str, Any]
    ) -> None:
        first = runs["first"]
        assert (first["state"], first["champion"]) == ("success", 1)
        assert all(first["tasks"][f"breast_cancer.{step}"] == ["success"] for step in STEPS)
        assert all(first["tasks"][f"fraud.{step}"] == ["skipped"] for step in STEPS)
        assert len(first["reports"]) == 1

    def test_the_metrics_of_mapped_and_single_tasks_are_pushed(self, runs: dict[str, Any]) -> None:
        first = runs["first"]
        assert {
            "vigie_retrain_trigger_fired",
            "vigie_retrain_candidate_score",
            "vigie_retrain_gate_passed",
            "vigie_champion_version",
        } <= set(first["metrics"])
        assert "breast_cancer" in first["pushed_for"]

    def test_a_run_without_a_fired_trigger_is_skipped_and_succeeds(
        self, runs: dict[str, Any]
    ) -> None:
        second = runs["nothing_to_do"]
        assert (second["state"], second["champion"]) == ("success", 1)
        assert all(second["tasks"][f"breast_cancer.{step}"] == ["skipped"] for step in STEPS)
        assert second["tasks"]["notify"] == second["tasks"]["push_metrics"] == ["success"]
        assert "vigie_retrain_trigger_fired" in second["metrics"]

    def test_after_a_refusal_the_promotion_is_skipped_and_the_run_succeeds(
        self, runs: dict[str, Any]
    ) -> None:
        refused = runs["refused"]
        assert (refused["state"], refused["champion"]) == ("success", 1)
        assert refused["tasks"]["breast_cancer.gate"] == ["success"]
        assert refused["tasks"]["breast_cancer.promote_model"] == ["skipped"]
        assert refused["tasks"]["breast_cancer.archive_production_data"] == ["skipped"]
        assert refused["tasks"]["fraud.check_triggers"] == ["skipped"]

    def test_a_damaged_champion_fails_the_run_and_is_reported(self, runs: dict[str, Any]) -> None:
        damaged = runs["damaged_champion"]
        assert damaged["state"] == "failed"
        assert damaged["tasks"]["breast_cancer.backup_current_model"] == ["failed"]
        assert damaged["tasks"]["notify"] == ["success"]
        assert len(damaged["reports"]) == 3
