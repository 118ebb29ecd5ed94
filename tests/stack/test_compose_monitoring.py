"""Configuration of Prometheus, Alertmanager and Grafana: valid, tested and complete."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vigie.catalogue import METRICS

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
DAGS = sorted(path.stem for path in (ROOT / "airflow" / "dags").glob("*.py"))
FOREIGN = {"up", "push_time_seconds"}  # series of Prometheus and the Pushgateway


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; apt-get install prometheus prometheus-alertmanager")
    return found


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def metric_names(expression: str) -> set[str]:
    """Return the metric names of an expression, without labels, strings and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|without) ?\([^)]*\)|'[^']*'", "", expression)
    words = set(re.findall(r"[a-z_][a-z0-9_]*", bare))
    return {word for word in words if "_" in word or word == "up"} - {"histogram_quantile"}


def families(names: set[str]) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", n) if n not in METRICS else n for n in names}


@pytest.mark.service
def test_promtool_accepts_the_configuration_and_rules() -> None:
    command = [program("promtool"), "check", "config", str(ROOT / "prometheus.yml")]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert f"{len(RULES)} rule files found" in completed.stdout


@pytest.mark.service
@pytest.mark.parametrize(
    "file", sorted((ROOT / "prometheus" / "tests").glob("*.yml")), ids=lambda path: path.name
)
def test_the_rule_tests_pass(file: Path) -> None:
    command = [program("promtool"), "test", "rules", str(file)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.mark.service
def test_amtool_accepts_the_configuration() -> None:
    file = ROOT / "prometheus" / "alertmanager.yml"
    subprocess.run([program("amtool"), "check-config", str(file)], check=True)


def test_every_rule_is_tested_firing_and_not_firing() -> None:
    tests = [
        case
        for path in sorted((ROOT / "prometheus" / "tests").glob("*.yml"))
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    for alert in {rule["alert"] for rule in rules()}:
        cases = [bool(case.get("exp_alerts")) for case in tests if case["alertname"] == alert]
        assert set(cases) == {True, False}, alert


def test_every_rule_uses_existing_metrics_and_names_an_action() -> None:
    for rule in rules():
        assert families(metric_names(rule["expr"])) <= METRICS.keys() | FOREIGN, rule["expr"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}


@pytest.mark.parametrize("alert", ["JobStale", "JobNeverSucceeded"])
def test_every_dag_has_the_alert(alert: str) -> None:
    covered = [rule for rule in rules() if rule["alert"] == alert]
    assert sorted(rule["labels"]["dag"] for rule in covered) == DAGS
    assert all(f'job="{rule["labels"]["dag"]}"' in rule["expr"] for rule in covered)


def test_inhibit_rules_name_existing_alerts() -> None:
    file = yaml.safe_load((ROOT / "prometheus" / "alertmanager.yml").read_text())
    matchers = [m for rule in file["inhibit_rules"] for part in rule.values() for m in part]
    named = {name for matcher in matchers for name in re.findall(r"[A-Z]\w+", matcher)}
    assert named <= {rule["alert"] for rule in rules()}
    receivers = {receiver["name"] for receiver in file["receivers"]}
    assert file["route"]["receiver"] in receivers


def test_prometheus_scrapes_services_of_the_stack(stack: dict[str, Any]) -> None:
    file = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    static = [entry for job in file["scrape_configs"] for entry in job["static_configs"]]
    static += [e for am in file["alerting"]["alertmanagers"] for e in am["static_configs"]]
    hosts = {target.split(":")[0] for entry in static for target in entry["targets"]}
    assert hosts - {"localhost"} == {"pushgateway", "serving-api", "alertmanager"}
    assert hosts - {"localhost"} <= stack["services"].keys()
    pushed = next(job for job in file["scrape_configs"] if job["job_name"] == "pushgateway")
    assert pushed["honor_labels"] is True


def test_rule_files_are_mounted_in_the_container(stack: dict[str, Any]) -> None:
    mounts = dict(v.split(":")[:2] for v in stack["services"]["prometheus"]["volumes"])
    pattern = yaml.safe_load((ROOT / "prometheus.yml").read_text())["rule_files"]
    assert pattern == ["prometheus/rules/*.yml"]  # relative to the configuration file
    assert mounts["./prometheus/rules"] == "/etc/prometheus/prometheus/rules"
    assert mounts["./prometheus.yml"] == "/etc/prometheus/prometheus.yml"


def dashboards() -> list[dict[str, Any]]:
    files = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
    assert files
    return [json.loads(path.read_text()) for path in files]


def test_dashboards_are_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "grafana" / "dashboards").mkdir(parents=True)
    script = shutil.copy(ROOT / "scripts" / "dashboards.py", tmp_path / "scripts")
    subprocess.run([sys.executable, "-I", script], check=True)
    written = tmp_path / "grafana" / "dashboards" / "loop.json"
    assert written.read_text() == (ROOT / "grafana" / "dashboards" / "loop.json").read_text()


def test_every_panel_has_title_unit_position_and_existing_metrics() -> None:
    for board in dashboards():
        places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
        assert len(set(places)) == len({panel["id"] for panel in board["panels"]}) == len(places)
        for panel in board["panels"]:
            assert panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            for target in panel["targets"]:
                assert families(metric_names(target["expr"])) <= METRICS.keys(), target["expr"]


@pytest.mark.service
def test_promtool_accepts_every_query_of_every_panel(tmp_path: Path) -> None:
    queries = [t["expr"] for b in dashboards() for p in b["panels"] for t in p["targets"]]
    recorded = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    subprocess.run([program("promtool"), "check", "rules", str(file)], check=True)


def test_panels_and_provisioning_use_the_same_datasource_and_folder(stack: dict[str, Any]) -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    provider = yaml.safe_load((provisioning / "dashboards" / "vigie.yml").read_text())
    uids = {found["uid"] for found in source["datasources"]}
    used = {
        part["datasource"]["uid"]
        for board in dashboards()
        for panel in board["panels"]
        for part in (panel, *panel["targets"])
    }
    assert used == uids
    mounts = dict(v.split(":")[:2] for v in stack["services"]["grafana"]["volumes"])
    assert provider["providers"][0]["options"]["path"] == mounts["./grafana/dashboards"]
