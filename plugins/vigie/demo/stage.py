"""Target, assertions and clients that the steps of the demo share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from vigie.catalogue import JOB_SUCCEEDED
from vigie.demo.airflow_api import AirflowApi, DagRun
from vigie.errors import PermanentError
from vigie.local.processes import wait_until

if TYPE_CHECKING:
    from vigie.demo.serving_client import ServingClient
    from vigie.demo.simulate_traffic import SimulationResult
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.settings import Settings

RUN_TIMEOUT_S = 600.0  # enough for a slow machine under load
RELOAD_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses and Airflow login of a running platform; ``logs`` is a folder of lines to score.

    The summary prints ``password_from``, which says where the password is stored, and
    ``stop_with``, the command that stops the platform.
    """

    airflow_url: str
    airflow_user: str
    airflow_password: str = field(repr=False)
    serving_url: str
    logs: Path
    password_from: str
    stop_with: str


class DemoFailedError(PermanentError):
    """At least one assertion of the demo failed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One assertion with its expected and found value."""

    step: str
    claim: str
    expected: str
    found: str
    ok: bool


class Checks:
    """The assertions of a demo. A failed assertion does not stop the demo."""

    def __init__(self) -> None:
        self.step = ""
        self._all: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._all)

    def equal(self, claim: str, found: object, expected: object) -> None:
        """Assert that two values from different sources are equal."""
        self._all.append(Check(self.step, claim, str(expected), str(found), found == expected))

    def holds(self, claim: str, ok: bool, found: object) -> None:
        """Assert a condition; the summary shows ``found``."""
        self._all.append(Check(self.step, claim, "yes", str(found), ok))

    @property
    def failed(self) -> list[Check]:
        return [check for check in self._all if not check.ok]

    def require(self) -> None:
        """Raise DemoFailedError with the first failed assertion, if there is one."""
        if self.failed:
            first = self.failed[0]
            raise DemoFailedError(
                f"{len(self.failed)} of {len(self._all)} assertions failed; the first: "
                f"{first.step}: {first.claim}: expected {first.expected}, found {first.found}"
            )


@dataclass(slots=True)
class Stage:
    """The clients, settings and notes of one demo, shared by its steps."""

    services: Services
    settings: Settings
    airflow: AirflowApi
    serving: httpx.Client
    client: ServingClient
    model: ModelFile
    logs: Path
    rows: int
    checks: Checks
    report_progress: Callable[[str], None]
    is_first: bool = True
    reported_on: int = 0  # the champion's version when the reports were triggered
    notes: dict[str, str] = field(default_factory=dict)

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Trigger a DAG, wait for the run, and assert that it succeeded."""
        return self.finish(self.airflow.trigger(dag_id, conf))

    def finish(self, run: DagRun) -> DagRun:
        """Wait for a run and assert that it succeeded; the assertion names the failed tasks."""
        run = self.airflow.wait(run, RUN_TIMEOUT_S, self.report_progress)
        states = self.airflow.task_states(run) if run.state != "success" else {}
        failed = [task for task, state in states.items() if state == "failed"]
        found = f"{run.state}: {', '.join(failed)}" if failed else run.state
        self.checks.equal(f"{run.dag_id} ({run.run_type} run) succeeded", found, "success")
        return run

    def wait_until_idle(self, dag_id: str, started_within_s: float = 0) -> None:
        """Wait up to ``started_within_s`` for a run of a DAG to appear, then for all to end."""
        wait_until(lambda: bool(self.airflow.runs(dag_id)), started_within_s)
        for run in self.airflow.runs(dag_id):
            if not run.is_ended:
                self.airflow.wait(run, RUN_TIMEOUT_S, self.report_progress)

    def send(
        self, n: int, *, seed: int, shifts: Mapping[str, float] | None = None
    ) -> SimulationResult:
        """Send real rows to ``/predict`` and the label of each to ``/feedback``."""
        from vigie.demo.simulate_traffic import simulate_traffic

        return simulate_traffic(
            self.services.paths.data,
            model=self.model,
            service=self.client,
            n=n,
            shifts=shifts,
            feedback=1.0,
            seed=seed,
        )

    def jobs_with_metrics(self) -> set[str]:
        """Return the jobs with metrics in the Pushgateway or, if none is set, in ``/metrics``."""
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
        """Return the champion's version from the deployments table; 0 if there is none."""
        deployment = self.services.deployments.champion(model or self.model.name)
        return deployment.version if deployment else 0

    def served_version(self) -> int:
        """Return the version that the service reports; 0 if no version is loaded."""
        response = self.serving.get("/model", params={"model": self.model.name})
        return int(response.json().get("version") or 0) if response.is_success else 0
