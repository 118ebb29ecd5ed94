"""Prometheus, Pushgateway and Alertmanager from Debian packages."""

from __future__ import annotations

from servers import debian
from servers.debian import find_program
from servers.server import Notify, Server
from servers.state import Site
from vigie.local.ports import LOOPBACK
from vigie.local.probes import get
from vigie.local.state import read_platform

_SERVING = 8080
_MINIMAL_ALERTMANAGER = """\
route:
  receiver: none
receivers:
  - name: none
"""


class _DebianServer(Server):
    """A program of a Debian package that serves HTTP on one port."""

    program: str

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        if find_program(self.program) is None:
            debian.install(self.program, self.program, notify, allowed=install)

    def listen(self, site: Site) -> list[str]:
        """Return the path of the program and the option that sets its listen address."""
        address = f"--web.listen-address={LOOPBACK}:{site.ports[self.name]}"
        return [find_program(self.program) or self.program, address]

    def url(self, site: Site) -> str:
        return f"http://{LOOPBACK}:{site.ports[self.name]}"


class Pushgateway(_DebianServer):
    """A Pushgateway that saves its groups every second; ``kill -9`` loses one second at most."""

    name = "pushgateway"
    program = "prometheus-pushgateway"
    ports = {"pushgateway": 19091}  # noqa: RUF012

    def command(self, site: Site) -> list[str]:
        kept = ["--persistence.file=groups", "--persistence.interval=1s"]
        return [*self.listen(site), *kept]

    def ask_version(self, site: Site) -> str:
        get(f"{self.url(site)}/-/ready")
        return str(get(f"{self.url(site)}/api/v1/status")["data"]["build_information"]["version"])


class Alertmanager(_DebianServer):
    """Alertmanager with ``prometheus/alertmanager.yml``, or a minimal configuration."""

    name = "alertmanager"
    program = "prometheus-alertmanager"
    ports = {"alertmanager": 19093}  # noqa: RUF012

    def prepare(self, site: Site) -> None:
        path = site.root / "prometheus" / "alertmanager.yml"
        text = path.read_text(encoding="utf-8") if path.exists() else _MINIMAL_ALERTMANAGER
        (site.home(self.name) / "alertmanager.yml").write_text(text, encoding="utf-8")

    def command(self, site: Site) -> list[str]:
        files = ["--config.file=alertmanager.yml", "--storage.path=data"]
        return [*self.listen(site), *files, "--cluster.listen-address="]

    def ask_version(self, site: Site) -> str:
        return str(get(f"{self.url(site)}/api/v2/status")["versionInfo"]["version"])


class Prometheus(_DebianServer):
    """Prometheus with ``prometheus.yml``, local addresses and an interval of one second."""

    name = program = "prometheus"
    ports = {"prometheus": 19090}  # noqa: RUF012

    def prepare(self, site: Site) -> None:
        text = (site.root / "prometheus.yml").read_text(encoding="utf-8")
        for there, here in _addresses(site).items():
            text = text.replace(there, here)
        text = text.replace("prometheus/rules", str(site.root / "prometheus" / "rules"))
        text = text.replace("_interval: 15s", "_interval: 1s")
        (site.home(self.name) / "prometheus.yml").write_text(text, encoding="utf-8")

    def command(self, site: Site) -> list[str]:
        files = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        return [*self.listen(site), *files, "--web.enable-lifecycle"]

    def ask_version(self, site: Site) -> str:
        get(f"{self.url(site)}/-/ready")
        get(f"{self.url(site)}/api/v1/query?query=1")
        return str(get(f"{self.url(site)}/api/v1/status/buildinfo")["data"]["version"])


def _addresses(site: Site) -> dict[str, str]:
    """Map the addresses in ``prometheus.yml`` to those of this machine."""
    platform = read_platform(site.root)
    serving = platform.ports["serving"] if platform else _SERVING
    return {
        "alertmanager:9093": f"{LOOPBACK}:{site.ports.get('alertmanager', 9093)}",
        "pushgateway:9091": f"{LOOPBACK}:{site.ports.get('pushgateway', 9091)}",
        "serving-api:8080": f"{LOOPBACK}:{serving}",
        "localhost:9090": f"{LOOPBACK}:{site.ports['prometheus']}",
    }
