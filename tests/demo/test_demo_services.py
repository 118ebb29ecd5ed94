"""The demo, Connections and outages on the whole platform with real servers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers.bring_up import bring_up, take_down
from servers.elastic_node import ElasticNode
from servers.kafka_broker import KafkaBroker
from servers.server import Server
from support.real_platform import ROOT, RealPlatform
from vigie.demo.airflow_api import AirflowApi
from vigie.local.state import Platform, read_platform
from vigie.settings import Settings
from vigie.wiring import open_services

pytestmark = [pytest.mark.timeout(1800), pytest.mark.long]
slow = pytest.mark.skipif(
    not os.environ.get("VIGIE_PLATFORM_TEST"),
    reason="takes minutes (platform restarts, outages); run: make services demo-services",
)
OWN = (KafkaBroker(), ElasticNode())


def ignore(_: str) -> None:
    """Ignore a progress message."""


@pytest.fixture(scope="module")
def own_servers(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Start a Kafka and an Elasticsearch that these tests may stop."""
    for name in ("kafka", "elasticsearch"):
        require_service(name)  # skips where the server is not available
    root = tmp_path_factory.mktemp("servers")
    (root / "dev").symlink_to(ROOT / "dev")  # Maven files and launcher
    (root / "data" / "services").mkdir(parents=True)
    (root / "data" / "services" / "lib").symlink_to(ROOT / "data" / "services" / "lib")
    try:
        bring_up(root, OWN, ignore, install=False)
        yield root
    finally:
        take_down(root, OWN, ignore)


@pytest.fixture(scope="module")
def clone(
    own_servers: Path,
    require_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RealPlatform]:
    """Create a platform on the real servers without starting it."""
    from servers.state import read_site

    urls = {name: require_service(name) for name in ("postgres", "pushgateway")}
    urls |= read_site(own_servers).urls
    real = RealPlatform(tmp_path_factory.mktemp("demo") / "clone", urls)
    real.clean_servers()
    real.make()
    try:
        yield real
    finally:
        real.run("down")
        real.forget()


@pytest.fixture(scope="module")
def demo(clone: RealPlatform) -> subprocess.CompletedProcess[str]:
    return clone.run("demo", timeout_s=900)


@pytest.fixture
def platform(
    demo: subprocess.CompletedProcess[str], clone: RealPlatform, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    """Return the platform that the demo left running, selected by VIGIE_HOME."""
    monkeypatch.setenv("VIGIE_HOME", str(clone.root))
    found = read_platform(clone.root)
    assert found is not None
    return found


def test_the_demo_holds_on_real_servers(
    demo: subprocess.CompletedProcess[str], clone: RealPlatform
) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "assertions held" in demo.stdout
    done = clone.run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    for server in ("PostgreSQL 15", "Elasticsearch 8", "Kafka", "Pushgateway"):
        assert server in done.stdout


@pytest.mark.usefixtures("demo")
def test_no_embedded_database_was_started(clone: RealPlatform) -> None:
    assert not (clone.root / "data" / "local" / "postgres").exists()


@slow
def test_a_connection_overrides_the_environment_and_check_reports_the_difference(
    clone: RealPlatform, platform: Platform, tmp_path: Path
) -> None:
    """The environment names a Kafka that does not exist, a Connection the real one."""
    dead = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    assert clone.run("up", **dead).returncode == 0
    servers = clone.urls["kafka"]
    extra = json.dumps({"bootstrap.servers": servers})
    add = ("connections", "add", "kafka_default", "--conn-type", "kafka", "--conn-extra", extra)
    assert clone.run("airflow", *add).returncode == 0
    try:
        ingest(clone, tmp_path, "connection", 500)
        scored = all_scored()
        other = servers.replace("127.0.0.1", "localhost")
        done = clone.run("check", KAFKA_BOOTSTRAP_SERVERS=other)
    finally:
        clone.run("airflow", "connections", "delete", "kafka_default")
        assert clone.run("up").returncode == 0
    assert scored
    assert done.returncode == 2, done.stdout + done.stderr
    assert "KAFKA_BOOTSTRAP_SERVERS: tasks take it from Connection kafka_default" in done.stderr


@slow
@pytest.mark.parametrize("server", OWN, ids=lambda server: server.name)
def test_an_outage_of_one_minute_during_scoring_loses_no_line(
    clone: RealPlatform,
    platform: Platform,
    own_servers: Path,
    tmp_path: Path,
    server: Server,
) -> None:
    failed = failed_runs(platform)
    ingest(clone, tmp_path, server.name, 200_000)
    wait_for_progress()
    with down(own_servers, server):
        begin = time.monotonic()
        clone.run("--help")
        start_up_s = time.monotonic() - begin  # of the interpreter, which varies with the load
        done = clone.run("check")
        took_s = time.monotonic() - begin - 2 * start_up_s
        time.sleep(max(0, begin + 60 - time.monotonic()))
    address = clone.urls[server.name].removeprefix("http://")
    assert done.returncode == 3, done.stdout + done.stderr
    assert address in done.stderr
    assert took_s < 5
    assert all_scored()
    assert failed_runs(platform) == failed


@slow
def test_runs_started_while_elasticsearch_is_down_wait_for_it(
    clone: RealPlatform, platform: Platform, own_servers: Path, tmp_path: Path
) -> None:
    failed = failed_runs(platform)
    with down(own_servers, OWN[1]), airflow_of(platform) as airflow:
        ingest(clone, tmp_path, "early", 500)
        collecting = airflow.trigger("logs_to_elasticsearch")
        time.sleep(30)
        assert not airflow.run(collecting).is_ended
    with airflow_of(platform) as airflow:
        assert airflow.wait(collecting, timeout_s=300).state == "success"
    assert all_scored()
    assert failed_runs(platform) == failed


@slow
def test_scoring_started_while_kafka_is_down_waits_for_it(
    clone: RealPlatform, platform: Platform, own_servers: Path, tmp_path: Path
) -> None:
    failed = failed_runs(platform)
    with down(own_servers, OWN[0]):
        assert clone.run("up").returncode == 0
        time.sleep(30)
    ingest(clone, tmp_path, "late", 500)
    assert all_scored()
    assert failed_runs(platform) == failed


@contextmanager
def down(servers: Path, server: Server) -> Iterator[None]:
    """Stop a server for the duration of the block."""
    take_down(servers, [server], ignore)
    try:
        yield
    finally:
        assert not bring_up(servers, [server], ignore, install=False)[0].failed


def airflow_of(platform: Platform) -> AirflowApi:
    return AirflowApi(platform.url("airflow"), "admin", platform.secrets["airflow_admin_password"])


def failed_runs(platform: Platform) -> set[str]:
    """Return the ids of failed runs of the scoring DAG."""
    with airflow_of(platform) as airflow:
        return {r.run_id for r in airflow.runs("kafka_anomaly_scoring") if r.state == "failed"}


def ingest(clone: RealPlatform, folder: Path, name: str, lines: int) -> None:
    """Write distinct lines to a file and ingest it into the stream."""
    text = "".join(f"{name} line {n} took {n * 7919 % 10007} ms\n" for n in range(lines))
    (folder / f"{name}.log").write_text(text)
    done = clone.run("stream", "ingest", "--base-dir", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for_progress() -> None:
    """Wait until the running DAG has scored some, but not all lines."""
    settings = Settings.from_env()
    names = settings.stream
    with open_services(settings) as services:
        before = services.index.count(names.index)
        deadline = time.monotonic() + 120
        while services.index.count(names.index) < before + 5000:
            assert time.monotonic() < deadline, "no line was scored in time"
            time.sleep(0.3)
        assert services.stream.lag(names.group, names.topic) > 0, (
            "all lines were scored before the outage began"
        )


def all_scored() -> bool:
    """Return whether the DAG writes one document or dead letter per line in time."""
    settings = Settings.from_env()
    names = settings.stream
    deadline = time.monotonic() + 300
    with open_services(settings) as services:
        while services.stream.lag(names.group, names.topic) and time.monotonic() < deadline:
            time.sleep(1)
        dead = services.index.count("vigie-dead-letters")
        produced = sum(services.stream.end_offsets(names.topic).values())
        return services.index.count(names.index) + dead == produced
