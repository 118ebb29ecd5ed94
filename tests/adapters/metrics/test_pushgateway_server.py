"""The metrics sink with a real Pushgateway and a real Prometheus."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.bring_up import SERVERS, bring_up, take_down
from servers.processes import process_of
from servers.state import Site, read_site
from vigie import catalogue
from vigie.adapters.metrics.pushgateway import Pushgateway
from vigie.errors import DataError, SettingsError, TransientError
from vigie.monitoring.push_metrics import push_metrics
from vigie.records import JobResult, Sample
from vigie.testing import FakeServices
from vigie.testing.contracts import metrics_sink
from vigie.testing.contracts.metrics_sink import MetricsSubject, Series, series_of

RUN = catalogue.JOB_LAST_RUN


def get(url: str, **parameters: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=10) as client:
        return client.get(url, params=parameters)


def series(url: str) -> list[Series]:
    return series_of(get(f"{url}/metrics").text)


@pytest.fixture
def job(pushgateway_url: str) -> Iterator[str]:
    """Return a job name for one test; delete its groups afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    yield name
    for group in get(f"{pushgateway_url}/api/v1/metrics").json()["data"]:
        labels = dict(group["labels"])
        if labels.get("job", "").startswith(name):
            Pushgateway(pushgateway_url).delete(labels.pop("job"), labels)


@pytest.mark.parametrize("check", metrics_sink.CHECKS, ids=lambda check: check.__name__)
def test_metrics(check: Callable[[MetricsSubject], None], pushgateway_url: str, job: str) -> None:
    check(MetricsSubject(Pushgateway(pushgateway_url), job, lambda: series(pushgateway_url)))


@pytest.fixture
def own(
    tmp_path: Path, project_root: Path, require_service: Callable[[str], str]
) -> Iterator[Callable[..., Site]]:
    """Return a function that starts servers for one test."""
    require_service("pushgateway")
    shutil.copy(project_root / "prometheus.yml", tmp_path)

    def start(*names: str) -> Site:
        outcomes = bring_up(tmp_path, [SERVERS[n] for n in names], print, install=False)
        assert [o.note for o in outcomes if not o.version] == []
        return read_site(tmp_path)

    yield start
    take_down(tmp_path, list(SERVERS.values()), print)


def test_pushed_groups_survive_kill_9_and_a_restart(own: Callable[..., Site]) -> None:
    site = own("pushgateway")
    sink = Pushgateway(site.urls["pushgateway"])
    sink.push("dag", [Sample(RUN, 7)], {"model": "fraud"})
    before = series(site.urls["pushgateway"])
    wait_for(lambda: (site.home("pushgateway") / "groups").exists(), "the file of groups")
    process = process_of(site, "pushgateway")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    with pytest.raises(TransientError, match=re.escape(site.urls["pushgateway"])):
        sink.push("dag", [Sample(RUN, 8)])
    site = own("pushgateway")
    mine = [s for s in series(site.urls["pushgateway"]) if ("job", "dag") in s[1]]
    assert mine == [s for s in before if ("job", "dag") in s[1]]
    Pushgateway(site.urls["pushgateway"]).push("dag", [Sample(RUN, 8)], {"model": "fraud"})


def test_a_group_has_its_push_time(pushgateway_url: str, job: str) -> None:
    began = time.time()
    Pushgateway(pushgateway_url).push(job, [Sample(RUN, 1)], {"model": "fraud"})
    labels = (("job", job), ("model", "fraud"))
    pushed = {name: value for name, found, value in series(pushgateway_url) if found == labels}
    assert began - 1 <= pushed["push_time_seconds"] <= time.time() + 1
    assert pushed["push_failure_time_seconds"] == 0


def test_a_family_with_another_type_in_another_group_is_rejected(own: Callable[..., Site]) -> None:
    """Other software may push a metric of the catalogue with another type."""
    url = own("pushgateway").urls["pushgateway"]
    text = "# TYPE vigie_job_failed_tasks counter\nvigie_job_failed_tasks 1\n"
    with httpx.Client(trust_env=False) as client:
        client.put(f"{url}/metrics/job/foreign", content=text).raise_for_status()
    sink = Pushgateway(url)
    sink.push("dag", [Sample(RUN, 1)])
    with pytest.raises(DataError, match="400"):
        sink.push("dag", [Sample(catalogue.JOB_TASKS_FAILED, 0)])
    values = {name: value for name, labels, value in series(url) if ("job", "dag") in labels}
    assert values[RUN] == 1
    assert values["push_failure_time_seconds"] > 0


def test_an_empty_job_name_is_rejected(pushgateway_url: str) -> None:
    with pytest.raises(DataError):
        Pushgateway(pushgateway_url).push("", [Sample(RUN, 1)])


def test_a_wrong_path_raises_a_settings_error(pushgateway_url: str) -> None:
    with pytest.raises(SettingsError, match="PROMETHEUS_PUSHGATEWAY_URL"):
        Pushgateway(f"{pushgateway_url}/elsewhere").push("dag", [Sample(RUN, 1)])


def test_the_metrics_of_a_run_reach_prometheus(
    prometheus_url: str, pushgateway_url: str, job: str, services: FakeServices
) -> None:
    """A query returns the metrics with the job and model labels of the DAG."""
    services.metrics = Pushgateway(pushgateway_url)  # type: ignore[assignment]
    sample = Sample(catalogue.STREAM_THRESHOLD, 2.5, {"model": "fraud", "topic": "t"})
    outcome = JobResult(metrics=(sample,)).as_xcom()
    pushed = push_metrics(services, dag_id=job, results=[outcome], failed_tasks=0)
    assert (pushed.groups, pushed.problem) == (3, "")

    def found(name: str) -> list[dict[str, Any]]:
        query = f'{name}{{job="{job}"}}'
        response = get(f"{prometheus_url}/api/v1/query", query=query).json()
        result: list[dict[str, Any]] = response["data"]["result"]
        return result

    wait_for(lambda: len(found("push_time_seconds")) == 3, "all groups in Prometheus")
    (series,) = found(catalogue.STREAM_THRESHOLD)
    name = {"__name__": catalogue.STREAM_THRESHOLD}
    assert series["metric"] == name | {"job": job, "model": "fraud", "topic": "t"}
    assert series["value"][1] == "2.5"
    (success,) = found(catalogue.JOB_LAST_SUCCESS)
    assert float(success["value"][1]) == services.now().timestamp()


RULES = """\
groups:
  - name: test
    rules:
      - {alert: RunFailed, expr: vigie_job_succeeded == 0}
      - {alert: GroupIsStale, expr: time() - push_time_seconds > 3}
"""


def test_a_failed_run_and_a_stale_group_raise_alerts(
    own: Callable[..., Site], tmp_path: Path, services: FakeServices
) -> None:
    """A stopped job pushes nothing, so only the age of its group shows that it stopped."""
    rules = tmp_path / "prometheus" / "rules"
    rules.mkdir(parents=True)
    (rules / "test.yml").write_text(RULES)
    site = own("pushgateway", "alertmanager", "prometheus")
    services.metrics = Pushgateway(site.urls["pushgateway"])  # type: ignore[assignment]
    push_metrics(services, dag_id="dag", results=[], failed_tasks=1)

    def firing() -> set[tuple[str, str]]:
        alerts = get(f"{site.urls['alertmanager']}/api/v2/alerts").json()
        return {(a["labels"]["alertname"], a["labels"]["job"]) for a in alerts}

    wait_for(lambda: ("RunFailed", "dag") in firing(), "the alert of the failed run")
    wait_for(lambda: ("GroupIsStale", "dag") in firing(), "the alert of the stale group")


def test_prometheus_scrapes_the_targets_of_the_committed_file(
    prometheus_url: str, pushgateway_url: str
) -> None:
    targets = get(f"{prometheus_url}/api/v1/targets").json()["data"]["activeTargets"]
    jobs = {target["scrapePool"]: target for target in targets}
    assert jobs.keys() >= {"pushgateway", "serving", "prometheus"}
    assert jobs["pushgateway"]["scrapeUrl"] == f"{pushgateway_url}/metrics"
    assert jobs["pushgateway"]["health"] == jobs["prometheus"]["health"] == "up"


def wait_for(condition: Callable[[], object], what: str, patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not appear within {patience_s} s"
        time.sleep(0.1)
