"""An Elasticsearch node, started from the published jars by ``ElasticsearchNode.java``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from servers.debian import find_program
from servers.java import jar_folder, jar_version, java, obtain_jars
from servers.server import Notify, Server
from servers.state import Site
from vigie.errors import SettingsError
from vigie.local.ports import LOOPBACK
from vigie.local.probes import get

_LAUNCHER = "ElasticsearchNode"
_MODULE = "transport-netty4"
_SETTINGS = {
    "cluster.name": "vigie-services",
    "node.name": "node-1",
    "discovery.type": "single-node",
    "network.host": LOOPBACK,
    "node.processors": "1",
    "indices.breaker.total.use_real_memory": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}
_DESCRIPTOR = """\
description=HTTP and transport
name={module}
version={version}
java.version=17
elasticsearch.version={version}
classname=org.elasticsearch.transport.netty4.Netty4Plugin
"""


class ElasticNode(Server):
    """Elasticsearch without modules that Maven lacks: security, ILM, scripts, SQL, ``GET /``."""

    name = "elasticsearch"
    ports = {"elasticsearch": 19200, "elasticsearch_transport": 19300}  # noqa: RUF012

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        obtain_jars(site, self.name, notify, may_install=install)

    def prepare(self, site: Site) -> None:
        """Link the jars into the folders that the node expects, and compile the launcher."""
        jars, home = jar_folder(site, self.name), site.home(self.name)
        for made in ("classpath", "modules"):
            shutil.rmtree(home / made, ignore_errors=True)
        module = home / "modules" / _MODULE
        module.mkdir(parents=True)
        (home / "classpath").mkdir()
        for jar in jars.glob("*.jar"):
            os.link(jar, (module if "netty" in jar.name else home / "classpath") / jar.name)
        version = jar_version(site, self.name, "elasticsearch")
        descriptor = _DESCRIPTOR.format(module=_MODULE, version=version)
        (module / "plugin-descriptor.properties").write_text(descriptor)
        self._compile(site.sources / self.name / f"{_LAUNCHER}.java", home)

    def _compile(self, source: Path, home: Path) -> None:
        command = [find_program("javac") or "javac", "-cp", "classpath/*", "-d", "classpath"]
        done = subprocess.run(
            [*command, str(source)], cwd=home, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SettingsError(f"{source.name} does not compile: {done.stderr.strip()[-500:]}")

    def command(self, site: Site) -> list[str]:
        options = [
            "-Xmx512m",
            "-Des.set.netty.runtime.available.processors=false",
            f"-Dlog4j2.configurationFile={site.sources / 'log4j2.xml'}",
        ]
        ports = {
            "http.port": site.ports["elasticsearch"],
            "transport.port": site.ports["elasticsearch_transport"],
        }
        settings = [f"{key}={value}" for key, value in {**_SETTINGS, **ports}.items()]
        class_path = ["-cp", "classpath:classpath/*"]
        return [java(), *options, *class_path, _LAUNCHER, str(site.home(self.name)), *settings]

    def url(self, site: Site) -> str:
        return f"http://{LOOPBACK}:{site.ports['elasticsearch']}"

    def ask_version(self, site: Site) -> str:
        get(f"{self.url(site)}/_cluster/health?wait_for_status=yellow&timeout=1s")
        nodes = get(f"{self.url(site)}/_nodes?filter_path=nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])
