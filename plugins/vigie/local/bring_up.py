"""``vigie up``: every program started in its order, and waited for until it really answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from vigie.encoding import atomic_path
from vigie.errors import TransientError
from vigie.local.database import (
    Tell,
    end_orphans,
    exclusive,
    start_database,
)
from vigie.local.environments import (
    OWN_DATABASES,
    read_overrides,
    user_overrides,
    write_overrides,
)
from vigie.local.parts import Service, wanted_services
from vigie.local.ports import is_free, taken
from vigie.local.probes import wait_for
from vigie.local.programs import (
    PLATFORM,
    POSTGRES,
    PROGRAMS,
    TASKS,
    Program,
)
from vigie.local.reconcile import reconcile_models
from vigie.local.state import Platform
from vigie.local.supervision import Supervisor
from vigie.settings import Settings

_TIMEOUT_S = 240  # a slow laptop, cold disk caches, first migration


def bring_up(platform: Platform, *, tell: Tell) -> None:
    """Bring everything up; do nothing to what is up and has the settings of this shell.

    Raises
    ------
    SettingsError
        If a kept port is taken by somebody else, or PostgreSQL cannot run here.
    TransientError
        If a program does not answer in time; the message names its log.
    """
    with exclusive(platform, tell):
        make_folders(platform)
        overrides = user_overrides(platform.root)
        supervisor = Supervisor(platform)
        end_orphans(platform, tell)
        services = wanted_services(platform, overrides)
        _refuse_taken_ports(platform, supervisor, services)
        supervisor.start()
        _apply(platform, supervisor, overrides, tell)
        if not all(name in overrides for name in OWN_DATABASES):
            _timed("postgres", lambda: start_database(platform, supervisor), tell)
        _start_all(services, supervisor, tell, _settings(platform, overrides))


def _start_all(
    services: list[Service], supervisor: Supervisor, tell: Tell, settings: Settings
) -> None:
    """Start services side by side; while the slowest starts, the copies of champions are mended."""
    cancelled = Event()
    with ThreadPoolExecutor(len(services)) as threads:
        jobs = {s.name: threads.submit(_start, s, supervisor, tell, cancelled) for s in services}
        slowest = jobs.pop("airflow")
        try:
            for job in jobs.values():
                job.result()
            reconcile_models(settings, tell)
            slowest.result()
        except BaseException:  # Ctrl-C included: the threads must not wait any longer
            cancelled.set()
            raise


def _settings(platform: Platform, overrides: Mapping[str, str]) -> Settings:
    """Return the settings of the programs, which this shell's may be older than."""
    known = platform.environment | dict(overrides)
    return Settings.from_env(known, override_source="platform")


def make_folders(platform: Platform) -> None:
    """Make the folders of the programs, and the file with the password of Airflow's one user."""
    for name in ("airflow", "logs", "metrics", "mlflow", "run"):
        (platform.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_path(platform.folder / "airflow" / "passwords.json") as temporary:
        temporary.chmod(0o600)
        temporary.write_text(json.dumps({"admin": platform.secrets["airflow_admin_password"]}))


def _apply(
    platform: Platform, supervisor: Supervisor, overrides: Mapping[str, str], tell: Tell
) -> None:
    """Note the overrides; stop the programs that were started with others."""
    before = read_overrides(platform)
    if before != overrides:
        running = [p for p in PROGRAMS.values() if p is not POSTGRES and _is_up(supervisor, p)]
        if running:
            tell("The settings changed since the platform was started: restarting its programs.")
        for group in (TASKS, PLATFORM):
            _halt(supervisor, [program for program in running if program.group == group])
        write_overrides(platform, overrides)


def _is_up(supervisor: Supervisor, program: Program) -> bool:
    state = supervisor.states().get(program.name)
    return state is not None and state.state in ("RUNNING", "STARTING", "BACKOFF", "STOPPING")


def _halt(supervisor: Supervisor, programs: list[Program]) -> None:
    """Stop programs at once, and wait until they are gone."""
    for program in programs:
        supervisor.halt(program)
    deadline = time.monotonic() + 30
    while any(_is_up(supervisor, program) for program in programs):
        if time.monotonic() > deadline:
            raise TransientError("programs do not stop; run: vigie down")
        time.sleep(0.1)


def _refuse_taken_ports(
    platform: Platform, supervisor: Supervisor, services: list[Service]
) -> None:
    for program in (p for service in services for p in service.programs if p.port):
        port = platform.ports[str(program.port)]
        if not _is_up(supervisor, program) and not is_free(port):
            raise taken(port, program.name)


def _start(service: Service, supervisor: Supervisor, tell: Tell, cancelled: Event) -> None:
    def start() -> None:
        service.prepare()
        for program in service.programs:
            supervisor.launch(program)
        wait_for(service.probe, supervisor, service.programs, _TIMEOUT_S, cancelled)

    _timed(service.name, start, tell)


def _timed(name: str, action: Callable[[], None], tell: Tell) -> None:
    begin = time.monotonic()
    action()
    tell(f"{name} is up ({time.monotonic() - begin:.1f} s)")
