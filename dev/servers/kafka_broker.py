"""A Kafka broker and controller in one process (KRaft)."""

from __future__ import annotations

import base64
import subprocess
import uuid

from servers.java import jar_folder, jar_version, java, obtain_jars
from servers.server import Notify, Server
from servers.state import Site
from vigie.errors import SettingsError, TransientError
from vigie.local.ports import LOOPBACK

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class KafkaBroker(Server):
    """Apache Kafka without automatic topic creation."""

    name = "kafka"
    ports = {"kafka": 19092, "kafka_controller": 19192}  # noqa: RUF012

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        obtain_jars(site, self.name, notify, may_install=install)

    def prepare(self, site: Site) -> None:
        home = site.home(self.name)
        properties = home / "server.properties"
        properties.write_text(self.properties(site))
        if (home / "data" / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        options = ["-t", _cluster_id(), "-c", str(properties)]
        done = subprocess.run(
            [*self._java(site, "256m"), *tool, *options],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SettingsError(f"cannot format Kafka's storage: {done.stderr.strip()[-500:]}")

    def properties(self, site: Site) -> str:
        """Return the broker's configuration."""
        ports = {"port": site.ports["kafka"], "controller": site.ports["kafka_controller"]}
        return _PROPERTIES.format(host=LOOPBACK, **ports)

    def command(self, site: Site) -> list[str]:
        options = ["-XX:+UseG1GC", f"-Dkafka.logs.dir={site.home(self.name)}"]
        return [*self._java(site, "512m"), *options, "kafka.Kafka", "server.properties"]

    def _java(self, site: Site, memory: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={site.sources / 'log4j2.xml'}"
        return [java(), f"-Xmx{memory}", logging, "-cp", f"{jar_folder(site, self.name)}/*"]

    def url(self, site: Site) -> str:
        return f"{LOOPBACK}:{site.ports['kafka']}"

    def ask_version(self, site: Site) -> str:
        """Request the topic list; return the jar's version, because the protocol reports none."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        quiet = {"socket.timeout.ms": 2000, "log_level": 0}
        client = AdminClient({"bootstrap.servers": self.url(site), **quiet})
        try:
            client.list_topics(timeout=2)
        except KafkaException as exc:
            raise TransientError(f"Kafka at {self.url(site)} did not answer: {exc}") from exc
        return jar_version(site, self.name, "kafka_2.13")


def _cluster_id() -> str:
    """Return a random cluster id without a leading dash, which would start an option."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made
