"""Airflow with CeleryExecutor: two workers share the partitions of a topic; one is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support.real_platform import RealPlatform
from vigie.demo.airflow_api import AirflowApi
from vigie.local.state import Platform, read_platform
from vigie.local.supervision import Supervisor
from vigie.settings import Settings
from vigie.wiring import open_services

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("VIGIE_CELERY_TEST"),
        reason="takes ten minutes; run: make services test-celery",
    ),
]
FILES, LINES = 16, 40_000
DAG = "kafka_anomaly_scoring"


@pytest.fixture(scope="module")
def clone(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealPlatform]:
    """Start a platform with two Celery workers, and stop it at the end."""
    names = ("postgres", "kafka", "elasticsearch", "pushgateway", "redis")
    urls = {name: require_service(name) for name in names}
    real = RealPlatform(tmp_path_factory.mktemp("celery") / "clone", urls)
    real.clean_servers()
    real.make(
        VIGIE_CELERY_BROKER_URL=urls["redis"],
        VIGIE_STREAM_WORKERS="2",
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="30",
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="5",
    )
    try:
        done = real.run("up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield real
    finally:
        real.run("down")
        real.forget()


@pytest.fixture(scope="module")
def platform(clone: RealPlatform) -> Platform:
    found = read_platform(clone.root)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def demo(clone: RealPlatform) -> str:
    """Run the demo on a topic of four partitions; return what it printed."""
    assert clone.run("stream", "topic", "--partitions", "4").returncode == 0
    done = clone.run("demo", timeout_s=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_holds_on_two_workers(demo: str, platform: Platform) -> None:
    assert "assertions held" in demo
    assert {tasks_of(platform, worker) > 0 for worker in (1, 2)} == {True}


def tasks_of(platform: Platform, worker: int) -> int:
    """Count the succeeded tasks in a worker's log."""
    log = platform.folder / "logs" / f"airflow-worker-{worker}.log"
    return log.read_text(errors="replace").count("succeeded in")


@pytest.mark.usefixtures("demo")
def test_a_killed_worker_causes_no_lost_line_and_no_duplicate(
    clone: RealPlatform, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(clone.root))
    for number in range(FILES):
        lines = (f"host{number} app[{n}]: took {n * 7919 % 10007} ms\n" for n in range(LINES))
        (tmp_path / f"{number}.log").write_text("".join(lines))
    settings = Settings.from_env()
    names = settings.stream
    with open_services(settings) as services:
        before = services.index.count(names.index) + services.index.count("vigie-dead-letters")
        assert services.stream.lag(names.group, names.topic) == 0
        ingested = clone.run("stream", "ingest", "--base-dir", str(tmp_path))
        assert ingested.returncode == 0, ingested.stderr
        wait_until(lambda: services.index.count(names.index) > before + LINES, 120)
        killed = kill_a_busy_worker(platform)
        left = services.stream.lag(names.group, names.topic)
        assert left > 0, "all lines were scored before the worker was killed"
        begin = time.monotonic()
        wait_until(lambda: services.stream.lag(names.group, names.topic) == 0, 400)
        took = time.monotonic() - begin
        dead = services.index.count("vigie-dead-letters")
        produced = sum(services.stream.end_offsets(names.topic).values())
        assert services.index.count(names.index) + dead == produced
    tries = retried_tasks(platform)
    assert tries, f"worker {killed} was killed, but no task was retried"
    print(f"killed worker {killed} with {left} lines left; drained {took:.0f} s later; {tries}")  # noqa: T201


def kill_a_busy_worker(platform: Platform) -> int:
    """Kill the worker with the most child processes, and these, with SIGKILL."""
    states = Supervisor(platform).states()
    families = {n: family(states[f"airflow-worker-{n}"].pid or 0) for n in (1, 2)}
    victim = max(families, key=lambda n: len(families[n]))
    for process in families[victim]:
        process.kill()
    return victim


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def retried_tasks(platform: Platform) -> list[str]:
    """Return the scoring tasks that ran more than once."""
    login = ("admin", platform.secrets["airflow_admin_password"])
    with AirflowApi(platform.url("airflow"), *login) as airflow:
        path = f"/api/v2/dags/{DAG}/dagRuns/~/taskInstances?task_id=score_stream&limit=100"
        listed = airflow._ask("GET", path)["task_instances"]
    return [
        f"{task['task_id']}[{task['map_index']}] try {task['try_number']}: {task['state']}"
        for task in listed
        if task["try_number"] > 1
    ]


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.5)
