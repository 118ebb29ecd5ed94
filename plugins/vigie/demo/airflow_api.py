"""A client of the parts of Airflow's public REST API that the demo uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from vigie.errors import TransientError

ENDED = frozenset({"success", "failed"})
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class DagRun:
    """A DAG run as returned by Airflow's REST API."""

    dag_id: str
    run_id: str
    state: str
    run_type: str

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED


class AirflowApi:
    """A client of one Airflow server; the constructor logs in.

    Raises
    ------
    TransientError
        From every method, if the server does not respond or rejects the request.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        token = self._ask("POST", "/auth/token", json={"username": user, "password": password})
        self._client.headers["Authorization"] = f"Bearer {token['access_token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def dag_ids(self) -> list[str]:
        return [dag["dag_id"] for dag in self._ask("GET", "/api/v2/dags?limit=100")["dags"]]

    def import_errors(self) -> list[str]:
        """Return one message per DAG file that cannot be parsed."""
        errors = self._ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def import_warnings(self) -> list[str]:
        warnings = self._ask("GET", "/api/v2/dagWarnings")["dag_warnings"]
        return [f"{warning['dag_id']}: {warning['message']}" for warning in warnings]

    def unpause(self, dag_id: str) -> None:
        self._ask("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        body = {"logical_date": None, "conf": dict(conf or {})}
        return _run(self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body))

    def run(self, run: DagRun) -> DagRun:
        """Return the current state of the run."""
        return _run(self._ask("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}"))

    def conf(self, run: DagRun) -> dict[str, Any]:
        """Return the Params with which a run was triggered."""
        response = self._ask("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}")
        return dict(response["conf"] or {})

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return up to 50 runs of a DAG, newest first."""
        response = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=50&order_by=-run_after")
        return [_run(run) for run in response["dag_runs"]]

    def task_states(self, run: DagRun) -> dict[str, str]:
        """Return the state of each task; for a mapped task, that of its last instance."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances?limit=200"
        tasks = self._ask("GET", path)["task_instances"]
        return {task["task_id"]: str(task["state"]) for task in tasks}

    def wait(
        self, run: DagRun, timeout_s: float, on_progress: Callable[[str], None] = lambda _: None
    ) -> DagRun:
        """Wait until the run has ended and return it.

        Raises
        ------
        TransientError
            If the run has not ended in time; the message contains the states of the tasks.
        """
        deadline = time.monotonic() + timeout_s
        while not (run := self.run(run)).is_ended:
            states = self.task_states(run)
            open_tasks = [task for task, state in states.items() if state in _OPEN]
            on_progress(f"{run.dag_id}: {', '.join(open_tasks) or run.state}")
            if time.monotonic() > deadline:
                raise TransientError(
                    f"{run.dag_id} {run.run_id} did not finish within {timeout_s:.0f} s: {states}"
                )
            time.sleep(POLL_S)
        return run

    def _ask(self, method: str, path: str, json: Any = None) -> Any:
        try:
            response = self._client.request(method, path, json=json)
            response.raise_for_status()
        except httpx.HTTPStatusError as exc:
            text = exc.response.text[:500]
            raise TransientError(f"Airflow at {self.url} rejected {method} {path}: {text}") from exc
        except httpx.HTTPError as exc:
            reason = f"did not respond ({exc}); see: vigie status"
            raise TransientError(f"Airflow at {self.url} {reason}") from exc
        return response.json()


_OPEN = frozenset({"running", "queued", "scheduled", "deferred", "up_for_retry", "restarting"})


def _run(response: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=response["dag_id"],
        run_id=response["dag_run_id"],
        state=response["state"],
        run_type=response["run_type"],
    )
