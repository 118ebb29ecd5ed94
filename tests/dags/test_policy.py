"""Rules for every DAG file."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vigie.operators.base import TAGS

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted((ROOT / "airflow" / "dags").glob("*.py"))
HEAVY = (
    "numpy", "pandas", "torch", "sklearn", "mlflow", "evidently", "elasticsearch",
    "confluent_kafka", "gradio", "xgboost", "skops", "psycopg2",
    "vigie.settings", "vigie.wiring", "vigie.adapters",
)  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "open", "__import__", "print"}
FORBIDDEN_IMPORTS = {"os", "subprocess", "sys", "importlib", "requests", "httpx", "sqlalchemy"}
#: With these trigger rules a task does not run as successful after a failed task.
PASSES_FAILURE_ON = {"all_success", "none_failed", "none_failed_min_one_success", "none_skipped"}

PROBE = """
import json, sys, warnings
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    bag = DagBag(sys.argv[1])
print(json.dumps({
    "errors": bag.import_errors,
    "warnings": [str(w.message) for w in caught] + [str(w) for w in bag.captured_warnings.values()],
    "dags": sorted(bag.dags),
    "modules": sorted(set(sys.modules) - before),
}))
"""
PLUGINS_PROBE = """
import json, sys
from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors
from airflow.sdk import plugins_manager as sdk_plugins
ensure_plugins_loaded()
sdk_plugins._get_plugins()
folder = sys.argv[1]
ours = {name for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", "")).startswith(folder)}
stray = [name for name in ours if not name.startswith("vigie")]
print(json.dumps({"stray": sorted(stray), "errors": get_import_errors()}))
"""


def probe(code: str, argument: Path, **environment: str) -> dict[str, Any]:
    """Run code in a fresh interpreter outside the checkout; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(argument)],
        cwd="/",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def bag() -> DagBag:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(ROOT / "airflow" / "dags")


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    return probe(PROBE, ROOT / "airflow" / "dags")


@pytest.fixture(params=[path.stem for path in DAG_FILES])
def dag(request: pytest.FixtureRequest, bag: DagBag) -> DAG:
    assert request.param in bag.dags, f"{request.param}.py must define the DAG {request.param}"
    return bag.dags[request.param]


@pytest.fixture(params=DAG_FILES, ids=lambda path: path.stem)
def tree(request: pytest.FixtureRequest) -> ast.Module:
    return ast.parse(request.param.read_text(encoding="utf-8"))


def test_every_file_parses_without_an_error_or_a_warning(parsed: dict[str, Any]) -> None:
    assert (parsed["errors"], parsed["warnings"]) == ({}, [])


def test_a_file_defines_the_dag_of_its_name_and_no_other(parsed: dict[str, Any]) -> None:
    assert parsed["dags"] == [path.stem for path in DAG_FILES]


def test_parsing_loads_nothing_heavy(parsed: dict[str, Any]) -> None:
    loaded = {m for m in parsed["modules"] for h in HEAVY if m == h or m.startswith(f"{h}.")}
    assert loaded == set()


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_file_is_shorter_than_80_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80


def test_one_run_at_a_time_and_no_catchup(dag: DAG) -> None:
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_it_has_an_owner_known_tags_and_a_description(dag: DAG) -> None:
    assert dag.owner == "vigie"
    assert "vigie" in dag.tags
    assert dag.tags <= TAGS
    assert len(dag.doc_md or "") > 80


def test_every_task_retries_and_logs_its_failure(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries, task.task_id
        assert task.on_failure_callback, task.task_id


def test_every_param_has_a_type_and_a_description(dag: DAG) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema.get("type"), name
        assert param.description or param.schema.get("description_md"), name


def test_no_param_is_an_empty_text(dag: DAG) -> None:
    """The form treats an empty text as missing and disables its button; use None instead."""
    assert [name for name, value in dag.params.items() if value == ""] == []


def test_a_run_that_is_triggered_with_the_defaults_is_valid(dag: DAG) -> None:
    dag.params.validate()


def test_every_task_uses_an_operator_of_vigie(dag: DAG) -> None:
    classes = {getattr(task, "operator_class", type(task)) for task in dag.tasks}
    assert [c for c in classes if not c.__module__.startswith("vigie.operators")] == []


def test_a_failed_task_fails_its_run(dag: DAG) -> None:
    """A failure of any task reaches a leaf that is not a teardown and sets the state of the run."""
    for task in dag.tasks:
        if not task.is_teardown:
            assert failure_reaches_a_leaf(task), f"{task.task_id} can fail in a successful run"


def failure_reaches_a_leaf(task: Any) -> bool:
    following = [t for t in task.get_direct_relatives(upstream=False) if not t.is_teardown]
    if not following:
        return True
    return any(
        str(t.trigger_rule.value) in PASSES_FAILURE_ON and failure_reaches_a_leaf(t)
        for t in following
    )


def test_metrics_are_pushed_last_and_do_not_hide_a_failure(dag: DAG) -> None:
    push = dag.get_task("push_metrics")
    assert push.is_teardown
    assert not push.on_failure_fail_dagrun
    assert push.get_direct_relatives(upstream=False) in ([], set())


def test_a_leaf_that_always_runs_is_a_teardown(dag: DAG) -> None:
    always = {"all_done", "always", "all_done_min_one_success", "all_done_setup_success"}
    for task in dag.tasks:
        is_leaf = not task.get_direct_relatives(upstream=False)
        if is_leaf and str(task.trigger_rule.value) in always:
            assert task.is_teardown, task.task_id


def test_a_file_loops_over_models_and_nothing_else(tree: ast.Module) -> None:
    kinds = ast.For | ast.While | ast.comprehension
    loops = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    assert len(loops) <= 1
    for loop in loops:
        assert not isinstance(loop, ast.While)
        assert "model" in ast.unparse(loop.iter).lower()


def test_a_file_calls_nothing_that_reads_writes_or_evaluates(tree: ast.Module) -> None:
    calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert calls & FORBIDDEN_CALLS == set()
    imported = {
        a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    }
    imported |= {
        (n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)
    }
    assert imported & FORBIDDEN_IMPORTS == set()
    assert imported <= {"__future__", "datetime", "functools", "pathlib", "airflow", "vigie"}


def test_a_file_reads_no_airflow_variable_or_connection(tree: ast.Module) -> None:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert names & {"Variable", "Connection", "BaseHook"} == set()


def test_a_file_defines_no_callable_but_the_dag(tree: ast.Module) -> None:
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert all(f.decorator_list for f in functions), "only @dag and @task_group functions"
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Lambda | ast.ClassDef)]


def test_the_schedule_is_one_named_constant(tree: ast.Module) -> None:
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert "SCHEDULE" in names


def test_the_plugins_folder_registers_no_stray_module() -> None:
    found = probe(PLUGINS_PROBE, ROOT / "plugins")
    assert found == {"stray": [], "errors": {}}


@pytest.mark.parametrize("is_ignored", [True, False])
def test_airflowignore_prevents_stray_modules(tmp_path: Path, is_ignored: bool) -> None:
    plugins = tmp_path / "plugins"
    (plugins / "vigie" / "jobs").mkdir(parents=True)
    (plugins / "vigie" / "jobs" / "stray_job.py").write_text("VALUE = 1\n")
    if is_ignored:
        ignored = (ROOT / "plugins" / ".airflowignore").read_text(encoding="utf-8")
        (plugins / ".airflowignore").write_text(ignored)
    found = probe(PLUGINS_PROBE, plugins, AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins))
    assert found["stray"] == ([] if is_ignored else ["stray_job"])
