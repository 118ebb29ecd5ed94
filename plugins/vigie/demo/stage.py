"""What the demo's steps share: addresses, clients, counts read from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from vigie.catalogue import JOB_SUCCEEDED
from vigie.demo.airflow_api import AirflowApi, DagRun
from vigie.demo.checks import Checks

if TYPE_CHECKING:
    from vigie.demo.serving_client import ServingClient
    from vigie.demo.simulate_traffic import SimulationReport
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.settings import Settings

RUN_TIMEOUT_S = 600.0  # a slow machine that does other things as well
RELOAD_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Stage:
    """One demo: what it acts on, and what it has found so far."""

    services: Services
    settings: Settings
    airflow: AirflowApi
    serving: httpx.Client
    client: ServingClient
    model: ModelFile
    logs: Path
    rows: int
    checks: Checks
    tell: Callable[[str], None]
    is_first: bool = True
    reported_on: int = 0  # the champion's version when the reports were asked for
    notes: dict[str, str] = field(default_factory=dict)

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Trigger a DAG as the UI's button does, wait, and assert that the run succeeded."""
        run = self.airflow.trigger(dag_id, conf)
        return self.finish(run)

    def finish(self, run: DagRun) -> DagRun:
        """Wait for a run and assert that it succeeded; name the failed tasks if not."""
        run = self.airflow.wait(run, RUN_TIMEOUT_S, self.tell)
        states = self.airflow.task_states(run) if run.state != "success" else {}
        failed = [task for task, state in states.items() if state == "failed"]
        found = run.state if not failed else f"{run.state}: {', '.join(failed)}"
        self.checks.equal(f"{run.dag_id} ({run.run_type} run) succeeded", found, "success")
        return run

    def idle(self, dag_id: str, started_within_s: float = 0) -> None:
        """Wait until no run of a DAG is under way; first, that long, until there is one."""
        wait_until(lambda: bool(self.airflow.runs(dag_id)), started_within_s)
        for run in self.airflow.runs(dag_id):
            if not run.is_ended:
                self.airflow.wait(run, RUN_TIMEOUT_S, self.tell)

    def send(
        self, n: int, *, seed: int, shifts: Mapping[str, float] | None = None
    ) -> SimulationReport:
        """Send real rows through ``/predict``, and what was true of each through ``/feedback``."""
        from vigie.demo.simulate_traffic import simulate_traffic

        return simulate_traffic(
            self.services,
            model=self.model,
            service=self.client,
            n=n,
            shifts=shifts,
            feedback=1.0,
            seed=seed,
        )

    def figures(self) -> set[str]:
        """Return the jobs that have told whether they succeeded, where their figures are in use."""
        gateway = self.settings.metrics.pushgateway_url
        if gateway is None:
            text = self.serving.get("/metrics").text
        else:
            address = gateway if "://" in gateway else f"http://{gateway}"
            text = httpx.get(f"{address.rstrip('/')}/metrics", timeout=10, trust_env=False).text
        return {
            sample.labels["job"]
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == JOB_SUCCEEDED
        }

    def champion(self, model: str | None = None) -> int:
        """Return the champion's version by the deployments table; 0 before the first."""
        deployment = self.services.deployments.champion(model or self.model.name)
        return deployment.version if deployment else 0

    def served(self) -> int:
        """Return the version that serving says it serves; 0 while it serves none."""
        answer = self.serving.get("/model", params={"model": self.model.name})
        return int(answer.json().get("version") or 0) if answer.is_success else 0


def wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.5) -> bool:
    """Return whether a condition became true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
