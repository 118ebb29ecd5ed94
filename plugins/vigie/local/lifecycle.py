"""Start and stop the local platform: ``vigie up`` and ``vigie down``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from vigie.anomaly.detectors.registry import DETECTORS
from vigie.encoding import atomic_path
from vigie.errors import TransientError, VigieError
from vigie.local.airflow_commands import migrate_airflow
from vigie.local.database import Echo, end_orphans, exclusive, start_database
from vigie.local.environments import (
    OWN_DATABASES,
    broker_options,
    program_environment,
    read_overrides,
    user_overrides,
    write_overrides,
)
from vigie.local.ports import is_free, taken
from vigie.local.probes import (
    Probe,
    probe_airflow,
    probe_mlflow,
    probe_serving,
    probe_workers,
    wait_for,
)
from vigie.local.processes import end, platform_processes, wait_until
from vigie.local.programs import (
    AIRFLOW_PROGRAMS,
    MLFLOW,
    PLATFORM,
    POSTGRES,
    PROGRAMS,
    SERVING,
    TASKS,
    WORKERS,
    Program,
)
from vigie.local.state import Platform
from vigie.local.supervision import Supervisor
from vigie.models.names import model_names
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.settings import Settings
from vigie.wiring import open_services, upgrade_database

_START_S = 240  # for a slow laptop with cold disk caches and the first migration
# supervisord stops the tasks (15 s), then the other programs (8 s), then PostgreSQL (1 s).
_STOP_S = 27


@dataclass(frozen=True, slots=True)
class Service:
    """Programs that start together once PostgreSQL is running."""

    name: str
    programs: tuple[Program, ...]
    prepare: Callable[[], None]
    probe: Probe


def bring_up(platform: Platform, *, echo: Echo) -> None:
    """Start every program that is not running; restart those whose settings have changed.

    Raises
    ------
    SettingsError
        If another program uses one of the platform's ports, or PostgreSQL cannot run here.
    TransientError
        If a program fails or does not become ready in time; the message names its log.
    """
    with exclusive(platform, echo):
        make_folders(platform)
        overrides = user_overrides(platform.root)
        supervisor = Supervisor(platform)
        end_orphans(platform, echo)
        services = _services(platform, overrides)
        _check_ports(platform, supervisor, services)
        supervisor.start()
        _apply(platform, supervisor, overrides, echo)
        if not all(name in overrides for name in OWN_DATABASES):
            _timed("postgres", lambda: start_database(platform, supervisor), echo)
        known = platform.environment | overrides
        settings = Settings.from_env(known, override_source="platform")
        _start_all(services, supervisor, echo, settings)


def take_down(platform: Platform, *, echo: Echo) -> int:
    """Stop the supervisor and all programs; return how many the supervisor did not stop."""
    with exclusive(platform, echo):
        supervisor = Supervisor(platform)
        if supervisor.is_running():
            supervisor.shutdown()
            wait_until(lambda: not platform_processes(platform), _STOP_S, every_s=0.2)
        killed = end(platform_processes(platform))
        _remove_sockets(platform.sockets)
        _remove_sockets(platform.postgres.sockets)
        return killed


def make_folders(platform: Platform) -> None:
    """Create the programs' folders and the file with the password of Airflow's user ``admin``."""
    for name in ("airflow", "logs", "metrics", "mlflow", "run"):
        (platform.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_path(platform.folder / "airflow" / "passwords.json") as temporary:
        temporary.chmod(0o600)
        temporary.write_text(json.dumps({"admin": platform.secrets["airflow_admin_password"]}))


def _services(platform: Platform, overrides: Mapping[str, str]) -> list[Service]:
    """Return the services to start; MLflow only if it is enabled and no external server is set."""
    environment = program_environment(platform, overrides, "airflow")
    mlflow, serving = (platform.url(name) for name in ("mlflow", "serving"))
    wanted = [
        _airflow(platform, environment),
        Service(
            "serving",
            (SERVING,),
            lambda: upgrade_database(environment["VIGIE_DATABASE_URL"]),
            lambda: probe_serving(serving),
        ),
    ]
    is_off = overrides.get("MLFLOW_ENABLED", "true").lower() in ("false", "0", "no", "off")
    if "MLFLOW_TRACKING_URI" not in overrides and not is_off:
        wanted.append(Service("mlflow", (MLFLOW,), lambda: None, lambda: probe_mlflow(mlflow)))
    return wanted


def _airflow(platform: Platform, environment: Mapping[str, str]) -> Service:
    """Return the Airflow service; it includes Celery workers if a broker is set."""
    settings = Settings.from_env(environment, override_source="platform").celery
    broker = settings.broker_url.get_secret_value() if settings.broker_url else ""
    workers = WORKERS[: settings.workers] if broker else ()

    def probe() -> None:
        probe_airflow(platform.url("airflow"))
        if workers:
            probe_workers(broker, broker_options(broker, platform.mark), len(workers))

    programs = (*AIRFLOW_PROGRAMS, *workers)
    return Service("airflow", programs, lambda: migrate_airflow(platform, environment), probe)


def _start_all(
    services: list[Service], supervisor: Supervisor, echo: Echo, settings: Settings
) -> None:
    """Start the services in parallel; reconcile the champions while Airflow starts."""
    cancelled = Event()
    with ThreadPoolExecutor(len(services)) as threads:
        jobs = {s.name: threads.submit(_start, s, supervisor, echo, cancelled) for s in services}
        slowest = jobs.pop("airflow")
        try:
            for job in jobs.values():
                job.result()
            _reconcile_models(settings, echo)
            slowest.result()
        except BaseException:  # Ctrl-C included: the threads must stop waiting.
            cancelled.set()
            raise


def _reconcile_models(settings: Settings, echo: Echo) -> None:
    """Repair the copies of each champion (bundle folder, registry aliases) from the database.

    If a model cannot be reconciled, print the error and continue with the next model.
    """
    with open_services(settings) as services:
        for model in (*model_names(settings.paths.models), *DETECTORS):
            try:
                found = reconcile_champion(services, model=model)
            except VigieError as exc:
                echo(f"{model}: not reconciled: {exc}")
                continue
            for line in (*found.repaired, *found.problems):
                echo(f"{model}: {line}")


def _apply(
    platform: Platform, supervisor: Supervisor, overrides: Mapping[str, str], echo: Echo
) -> None:
    """Save the overrides; if these have changed, stop all programs but PostgreSQL.

    The caller starts the stopped programs again.
    """
    before = read_overrides(platform)
    if before != overrides:
        running = [p for p in PROGRAMS.values() if p is not POSTGRES and _is_up(supervisor, p)]
        if running:
            echo("The settings have changed since the platform was started; restarting programs.")
        for group in (TASKS, PLATFORM):
            _halt(supervisor, [program for program in running if program.group == group])
        write_overrides(platform, overrides)


def _is_up(supervisor: Supervisor, program: Program) -> bool:
    state = supervisor.states().get(program.name)
    return state is not None and state.state in ("RUNNING", "STARTING", "BACKOFF", "STOPPING")


def _halt(supervisor: Supervisor, programs: list[Program]) -> None:
    """Stop programs in parallel and wait until all have ended."""
    for program in programs:
        supervisor.halt(program)
    if not wait_until(lambda: not any(_is_up(supervisor, p) for p in programs), 30, every_s=0.1):
        raise TransientError("some programs did not stop within 30 s; run: vigie down")


def _check_ports(platform: Platform, supervisor: Supervisor, services: list[Service]) -> None:
    for program in (p for service in services for p in service.programs if p.port):
        port = platform.ports[str(program.port)]
        if not _is_up(supervisor, program) and not is_free(port):
            raise taken(port, program.name)


def _start(service: Service, supervisor: Supervisor, echo: Echo, cancelled: Event) -> None:
    def start() -> None:
        service.prepare()
        for program in service.programs:
            supervisor.launch(program)
        wait_for(service.probe, supervisor, service.programs, _START_S, cancelled)

    _timed(service.name, start, echo)


def _timed(name: str, action: Callable[[], None], echo: Echo) -> None:
    begin = time.monotonic()
    action()
    echo(f"{name} is up ({time.monotonic() - begin:.1f} s)")


def _remove_sockets(folder: Path) -> None:
    """Delete a socket folder below /tmp and its files, which remain if a server is killed."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
