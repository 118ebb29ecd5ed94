"""`make services`: saved state, skipped servers, and stopping only its own processes."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from servers import debian, java
from servers.__main__ import FAILED, main
from servers.bring_up import SERVERS, STOPPED, bring_up, take_down
from servers.debian import install
from servers.java import obtain_jars
from servers.kafka_broker import KafkaBroker
from servers.processes import process_of, stop
from servers.prometheus_servers import Prometheus
from servers.server import Notify, Server
from servers.state import Site, read_site
from vigie.errors import ConflictError, SettingsError, TransientError
from vigie.local.folders import take_lock
from vigie.local.ports import LOOPBACK
from vigie.local.probes import get


class Web(Server):
    """Python's web server as an example of a server."""

    name = "web"
    ports = {"web": 18080}  # noqa: RUF012
    secrets = ("web",)

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None: ...

    def command(self, site: Site) -> list[str]:
        return [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(site.ports[self.name])]

    def url(self, site: Site) -> str:
        return f"http://{LOOPBACK}:{site.ports[self.name]}"

    def ask_version(self, site: Site) -> str:
        get(self.url(site))
        return "1"


class Absent(Web):
    name = "absent"

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        raise SettingsError("run: sudo apt-get install -y absent")


class Broken(Web):
    name = "broken"
    ports = {"broken": 18081}  # noqa: RUF012

    def command(self, site: Site) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('no heap left')"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    take_down(tmp_path, [Web(), Broken()], print)


def test_a_server_is_started_once(root: Path) -> None:
    (first,) = bring_up(root, [Web()], print)
    pid = read_site(root).pids["web"]
    (second,) = bring_up(root, [Web()], print)
    assert (first.version, first.note, second.note) == ("1", "started", "was running")
    assert read_site(root).pids["web"] == pid


def test_down_stops_it_and_keeps_port_and_password(root: Path) -> None:
    bring_up(root, [Web()], print)
    before = read_site(root)
    process = process_of(before, "web")
    assert process is not None
    assert take_down(root, [Web()], print) == ["web"]
    assert not process.is_running()
    after = read_site(root)
    assert (after.urls, after.pids, after.skipped) == ({}, {}, {"web": STOPPED})
    assert (after.ports, after.secrets) == (before.ports, before.secrets)
    assert take_down(root, [Web()], print) == []
    bring_up(root, [Web()], print)
    assert read_site(root).urls == before.urls


def test_a_killed_server_is_started_again(root: Path) -> None:
    bring_up(root, [Web()], print)
    process = process_of(read_site(root), "web")
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    assert process_of(read_site(root), "web") is None
    (outcome,) = bring_up(root, [Web()], print)
    assert outcome.note == "started"


def test_a_process_that_reuses_the_id_of_a_dead_server_is_not_stopped(root: Path) -> None:
    site = Site(root)
    site.pids["web"] = os.getpid()
    site.started["web"] = psutil.Process().create_time() - 60
    assert process_of(site, "web") is None
    assert not stop(site, Web())


def test_the_file_is_private(root: Path) -> None:
    bring_up(root, [Web()], print)
    site = read_site(root)
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.folder.stat().st_mode) == 0o700
    assert len(site.secrets["web"]) >= 32


def test_an_occupied_port_is_not_claimed(root: Path) -> None:
    bring_up(root, [Web()], print)
    port = read_site(root).ports["web"]
    other = Site(root / "other", ports={"web": port})
    assert other.claim("web", port) != port
    assert other.ports["web"] == other.claim("web", port)


def test_a_server_that_cannot_be_installed_is_skipped_with_the_reason(root: Path) -> None:
    absent, web = bring_up(root, [Absent(), Web()], print)
    assert (absent.version, absent.failed) == ("", False)
    assert "apt-get install" in absent.note
    assert web.version == "1"
    assert read_site(root).skipped == {"absent": absent.note}


def test_a_server_that_does_not_start_is_a_failure_that_names_its_log(root: Path) -> None:
    broken, web = bring_up(root, [Broken(), Web()], print)
    assert broken.failed
    assert "no heap left" in broken.note
    assert str(read_site(root).log("broken")) in broken.note
    assert web.version == "1"
    assert "broken" not in read_site(root).urls


def test_an_answer_from_another_process_does_not_count(root: Path) -> None:
    bring_up(root, [Web()], print)

    class Impostor(Broken):
        def url(self, site: Site) -> str:
            return site.urls["web"]

        def ask_version(self, site: Site) -> str:
            psutil.Process(site.pids[self.name]).wait(10)
            return super().ask_version(site)

    (outcome,) = bring_up(root, [Impostor()], print)
    assert outcome.failed
    assert "no heap left" in outcome.note


def test_two_commands_at_once_are_refused(root: Path) -> None:
    bring_up(root, [Web()], print)
    handle = take_lock(read_site(root).folder / "command.lock")
    with pytest.raises(ConflictError, match="make services"):
        bring_up(root, [Web()], print)
    os.close(handle)


def test_a_file_that_cannot_be_read_is_a_settings_error(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.file.parent.mkdir(parents=True)
    site.file.write_text("[ports")
    with pytest.raises(SettingsError, match=re.escape(str(site.file))):
        read_site(tmp_path)


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    with pytest.raises(SettingsError, match="sudo apt-get install -y redis-server"):
        install("redis-server", "redis-server", print, allowed=False)


def test_without_apt_get_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda name, **_: None)
    with pytest.raises(SettingsError, match="apt-get is not available"):
        install("redis-server", "redis-server", print, allowed=True)


def test_without_a_jdk_kafka_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (debian, java):
        monkeypatch.setattr(module, "find_program", lambda name: None)
    with pytest.raises(SettingsError, match="javac is not installed"):
        obtain_jars(Site(tmp_path), "kafka", print, may_install=False)


def test_kafka_creates_no_topic_automatically_and_listens_on_loopback(tmp_path: Path) -> None:
    site = Site(tmp_path, ports={"kafka": 19092, "kafka_controller": 19192})
    (site.home("kafka") / "data").mkdir()
    (site.home("kafka") / "data" / "meta.properties").touch()
    KafkaBroker().prepare(site)
    text = (site.home("kafka") / "server.properties").read_text()
    assert "auto.create.topics.enable=false" in text
    assert set(re.findall(r"//([\d.]+):", text)) == {LOOPBACK}


def test_prometheus_runs_the_committed_file_with_local_addresses(
    tmp_path: Path, project_root: Path
) -> None:
    committed = (project_root / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(committed, encoding="utf-8")
    ports = {"prometheus": 19090, "pushgateway": 19091, "alertmanager": 19093}
    site = Site(tmp_path, ports=ports)
    Prometheus().prepare(site)
    text = (site.home("prometheus") / "prometheus.yml").read_text()
    targets = set(re.findall(r'targets: \["([^"]+):\d+"\]', text))
    assert targets == {LOOPBACK}
    assert text.count("honor_labels: true") == committed.count("honor_labels: true") == 2
    assert f"{tmp_path}/prometheus/rules/" in text


def test_names_and_ports_of_servers_are_unique() -> None:
    ports = [port for server in SERVERS.values() for port in server.ports.values()]
    assert len(ports) == len(set(ports))
    assert set(SERVERS) == {
        *("postgres", "kafka", "elasticsearch", "redis"),
        *("pushgateway", "alertmanager", "prometheus"),
    }


def test_the_command_exits_with_3_when_a_server_does_not_start(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(root))
    found: dict[str, Server] = {"web": Web(), "absent": Absent()}
    monkeypatch.setattr("servers.__main__.SERVERS", found)
    assert main(["up", "--no-install"]) == 0
    assert "apt-get" in capsys.readouterr().out
    found["broken"] = Broken()
    assert main(["up", "--no-install"]) == FAILED
    assert main(["down"]) == 0
    assert "Stopped web" in capsys.readouterr().out


def test_asking_a_stopped_server_raises_a_transient_error(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for server in SERVERS.values():
        for name in server.ports:
            site.claim(name, 1025)
        with pytest.raises(TransientError):
            server.ask_version(site)
