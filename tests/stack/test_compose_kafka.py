"""The real Kafka broker runs with the configuration that the image derives from the stack."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from servers.java import jar_folder, java
from servers.state import read_site
from support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def jars() -> str:
    folder = jar_folder(read_site(ROOT), "kafka")
    if not list(folder.glob("kafka_*.jar")):
        pytest.skip("Kafka's jars are not downloaded; run: make services")
    return f"{folder}/*"


def environment_of(stack: dict[str, Any], overlay: bool, port: int) -> dict[str, str]:
    given = dict(stack["services"]["kafka"]["environment"])
    if overlay:
        file = yaml.safe_load((ROOT / "docker-compose.ports.yml").read_text())
        given |= file["services"]["kafka"]["environment"]
    return {name: value.replace("${KAFKA_PORT:-9092}", str(port)) for name, value in given.items()}


def properties(environment: dict[str, str], jars: str, folder: Path) -> dict[str, str]:
    """Return the configuration that the program of the official image writes."""
    for name in ("defaults", "mounted", "final"):
        (folder / name).mkdir()
    (folder / "defaults" / "server.properties").write_text("")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "defaults" / name).write_text("Configuration: {}\n")
    options = [
        *("--default-configs-dir", str(folder / "defaults")),
        *("--mounted-configs-dir", str(folder / "mounted")),
        *("--final-configs-dir", str(folder / "final")),
    ]
    command = [java(), "-cp", jars, "kafka.docker.KafkaDockerWrapper", "setup", *options]
    inherited = {name: os.environ[name] for name in ("PATH",)}
    # The last step of "setup" formats the storage and fails here; broker() formats another folder.
    subprocess.run(command, env=inherited | environment, capture_output=True, check=False)
    text = (folder / "final" / "server.properties").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@contextlib.contextmanager
def broker(found: dict[str, str], jars: str, folder: Path) -> Iterator[None]:
    """Format a storage folder, and run the broker for the duration of the block."""
    own = found | {"log.dirs": str(folder / "data")}
    file = folder / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in own.items()))
    base = [java(), "-Xmx384m", f"-Dkafka.logs.dir={folder}", "-cp", jars]
    tool = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", str(file)]
    subprocess.run([*base, *tool], check=True, capture_output=True)
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen([*base, "kafka.Kafka", str(file)], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("overlay", [False, True], ids=["inside", "published"])
def test_every_variable_becomes_a_property(
    overlay: bool, stack: dict[str, Any], jars: str, tmp_path: Path
) -> None:
    environment = environment_of(stack, overlay, 9092)
    found = properties(environment, jars, tmp_path)
    expected = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"  # read by the start script
    }
    assert found == expected


def test_the_advertised_address_is_reachable_from_this_machine(
    stack: dict[str, Any], jars: str, tmp_path: Path
) -> None:
    inner, published, controller = free_port(), free_port(), free_port()
    found = properties(environment_of(stack, True, published), jars, tmp_path)
    ports = {":9092": inner, ":19092": published, ":9093": controller}
    for key in ("listeners", "controller.quorum.voters"):  # addresses of this machine
        for old, new in ports.items():
            found[key] = found[key].replace(f"//{old}", f"//127.0.0.1:{new}")
            found[key] = found[key].replace(f"localhost{old}", f"localhost:{new}")
    with broker(found, jars, tmp_path):
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{published}", "log_level": 0})
        deadline = time.monotonic() + 60
        while True:
            try:
                topics = admin.list_topics(timeout=5)
                break
            except KafkaException:
                assert time.monotonic() < deadline, (tmp_path / "broker.log").read_text()[-2000:]
    assert [f"{b.host}:{b.port}" for b in topics.brokers.values()] == [f"127.0.0.1:{published}"]
    assert set(topics.topics) == set()  # no automatic topic creation
