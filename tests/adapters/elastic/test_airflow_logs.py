"""Task logs of Airflow in Elasticsearch: a scheduler runs a task, and the API reads its log."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.ports import free_port
from vigie.adapters.elastic.client import EsClient

pytestmark = pytest.mark.timeout(500)
DAG = """
from airflow.sdk import dag, task

@dag(schedule=None)
def hello():
    @task
    def say():
        print("{word}")
    say()

hello()
"""


def _environment(home: Path, port: int, es_url: str, index: str) -> dict[str, str]:
    """Return the environment variables of the Compose stack, for a small Airflow on SQLite."""
    url = f"http://127.0.0.1:{port}"
    sections = {
        "core": {
            "dags_folder": str(home / "dags"),
            "plugins_folder": str(home / "plugins"),
            "load_examples": "False",
            "parallelism": "1",
            "dags_are_paused_at_creation": "False",
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_all_admins": "True",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "api": {"host": "127.0.0.1", "port": str(port), "base_url": url, "workers": "1"},
        "api_auth": {"jwt_secret": secrets.token_hex(16)},
        "logging": {
            "base_log_folder": str(home / "logs"),
            "remote_logging": "True",
            "delete_local_logs": "True",  # so that no log can be read from a file
        },
        "elasticsearch": {
            "host": es_url,
            "write_to_es": "True",
            "write_stdout": "False",
            "json_format": "True",
            "target_index": index,
            "index_patterns": index,
        },
    }
    settings = {
        f"AIRFLOW__{section}__{key}".upper(): value
        for section, keys in sections.items()
        for key, value in keys.items()
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    return {**inherited, **settings, "AIRFLOW_HOME": str(home), "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def word() -> str:
    return f"said-{secrets.token_hex(8)}"


@pytest.fixture
def target(elasticsearch_url: str) -> Iterator[str]:
    """Return the name of an index that only this test uses."""
    index = f"airflow-logs-{secrets.token_hex(4)}"
    yield index
    client = EsClient(elasticsearch_url)
    client.request("DELETE", f"/{index}", params={"ignore_unavailable": "true"})
    client.close()


@pytest.fixture
def airflow(
    tmp_path: Path, elasticsearch_url: str, target: str, word: str
) -> Iterator[httpx.Client]:
    """Run api-server, scheduler and dag-processor; yield a client for the API."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "hello.py").write_text(DAG.format(word=word))
    port = free_port()
    environment = _environment(tmp_path, port, elasticsearch_url, target)

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-Im", "airflow", *arguments],
                env=environment,
                cwd=tmp_path,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    assert start("db", "migrate").wait(120) == 0
    with ExitStack() as stack:
        for arguments in (["api-server"], ["scheduler", "--skip-serve-logs"], ["dag-processor"]):
            stack.callback(_stop, start(*arguments))
        base = f"http://127.0.0.1:{port}"
        client = stack.enter_context(httpx.Client(base_url=base, trust_env=False, timeout=20))
        _eventually(lambda: client.get("/api/v2/monitor/health").status_code == 200, 150)
        token = client.get("/auth/token").json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        _eventually(lambda: client.get("/api/v2/dags/hello").status_code == 200, 90)
        yield client


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _eventually(is_so: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if is_so():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def test_the_api_reads_a_tasks_log_from_elasticsearch(
    airflow: httpx.Client, elasticsearch_url: str, target: str, word: str, tmp_path: Path
) -> None:
    run = airflow.post("/api/v2/dags/hello/dagRuns", json={"logical_date": None}).json()
    path = f"/api/v2/dags/hello/dagRuns/{run['dag_run_id']}"
    _eventually(lambda: airflow.get(path).json()["state"] == "success", 120)
    client = EsClient(elasticsearch_url)

    def stored() -> bool:
        lenient = {"ignore_unavailable": "true"}  # Airflow writes the log after the state
        client.request("POST", f"/{target}/_refresh", params=lenient)
        query: dict[str, Any] = {"query": {"match_phrase": {"event": word}}}
        found = client.request("POST", f"/{target}/_search", query, params=lenient)
        return bool(found["hits"]["hits"])

    _eventually(stored, 30)
    client.close()
    assert [file for file in tmp_path.rglob("attempt=1.log") if file.is_file()] == []
    shown = airflow.get(f"{path}/taskInstances/say/logs/1", headers={"Accept": "application/json"})
    assert word in shown.text
