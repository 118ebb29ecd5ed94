"""The programs of the local platform: their arguments, ports and stop signals."""

from __future__ import annotations

from dataclasses import dataclass

from vigie.local.ports import LOOPBACK

#: Groups of programs; tasks stop first. A stopped task reports its state to the api-server. If the
#: api-server is not running any more, Airflow considers the task running for another 300 s.
TASKS, PLATFORM = "tasks", "platform"


@dataclass(frozen=True, slots=True)
class Program:
    """A supervised program: ``python -I -m`` with these arguments (PostgreSQL has none)."""

    name: str
    arguments: tuple[str, ...] = ()
    port: str | None = None  # key in the platform's ports
    stop_signal: str = "TERM"
    stop_wait_s: int = 8
    group: str = PLATFORM

    @property
    def process(self) -> str:
        """The supervisor's name for the program: ``GROUP:NAME``, or ``NAME`` without a group."""
        return f"{self.group}:{self.name}" if self.group else self.name


_END_OF_TASK_S = 15  # Python handles the signal only when a running library call returns
_SERVE = ("--host", LOOPBACK, "--port", "{port}")

POSTGRES = Program(
    "postgres", stop_signal="INT", stop_wait_s=30, group=""
)  # INT: disconnect clients
API_SERVER = Program(
    "airflow-api-server",
    ("airflow", "api-server", *_SERVE, "--workers", "1"),
    port="airflow",
)
# Without --skip-serve-logs, scheduler and triggerer would serve logs on all network interfaces. The
# api-server reads the log files directly.
SCHEDULER = Program(
    "airflow-scheduler",
    ("airflow", "scheduler", "--skip-serve-logs"),
    stop_wait_s=_END_OF_TASK_S,
    group=TASKS,
)
DAG_PROCESSOR = Program("airflow-dag-processor", ("airflow", "dag-processor"))
TRIGGERER = Program("airflow-triggerer", ("airflow", "triggerer", "--skip-serve-logs"))
MLFLOW = Program(
    "mlflow", ("mlflow", "server", *_SERVE, "--workers", "1", "--serve-artifacts"), port="mlflow"
)
_SERVING_APP = ("uvicorn", "--factory", "vigie.serving.app:create_app", "--no-access-log")
SERVING = Program(
    "serving",
    (*_SERVING_APP, *_SERVE, "--timeout-graceful-shutdown", "5"),
    port="serving",
)

MAX_WORKERS = 8  # maximum of VIGIE_CELERY_WORKERS; supervisord's configuration contains all of them
_WORKER = ("airflow", "celery", "worker", "--skip-serve-logs")
WORKERS = tuple(
    Program(
        f"airflow-worker-{n}",
        (*_WORKER, "--celery-hostname", f"w{n}@%h"),
        stop_wait_s=_END_OF_TASK_S,
        group=TASKS,
    )
    for n in range(1, MAX_WORKERS + 1)
)

AIRFLOW_PROGRAMS = (API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER)
PROGRAMS = {p.name: p for p in (POSTGRES, *AIRFLOW_PROGRAMS, *WORKERS, MLFLOW, SERVING)}
