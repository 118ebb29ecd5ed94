"""Questions to the platform's services: does it really answer?

Each probe raises :class:`~vigie.errors.TransientError` while the answer is no.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import httpx

from vigie.addresses import checked_url, without_login
from vigie.errors import SettingsError, TransientError
from vigie.local.ports import taken
from vigie.local.processes import listens
from vigie.local.programs import Program
from vigie.local.state import Platform
from vigie.local.supervision import Supervisor

Probe = Callable[[], None]


def get(
    url: str,
    timeout_s: float = 3,
    headers: Mapping[str, str] | None = None,
    refused: Callable[[str], SettingsError] | None = None,
    variable: str = "an address of the platform",
) -> Any:
    """Return the JSON (or text) that a URL answers; proxies of the shell are not asked.

    A login of the URL goes beside it, because httpx logs each URL that it asks.
    With ``refused``, an answer that lets nobody in (401, 403) raises what it makes of the words.

    Raises
    ------
    SettingsError
        ``variable``, which the URL comes from, is not an address.
    TransientError
        Nobody answered, or not with 200, or with JSON that cannot be read.
    """
    given = checked_url(url, variable)
    told = str(given.copy_with(userinfo=b""))
    auth = (given.username, given.password) if given.userinfo else None
    try:
        with httpx.Client(trust_env=False, timeout=timeout_s, headers=headers, auth=auth) as client:
            answer = client.get(told)
    except httpx.HTTPError as exc:
        raise TransientError(f"{told} did not answer ({type(exc).__name__})") from exc
    if refused and answer.status_code in (401, 403):
        raise refused(f"{answer.status_code} {answer.text.strip()[:200]}")
    if answer.status_code != httpx.codes.OK:
        raise TransientError(f"{told} answered {answer.status_code}")
    try:
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text
    except ValueError as exc:
        raise TransientError(f"{told} answered JSON that cannot be read") from exc


def check_header(variable: str, secret: str) -> None:
    """Refuse a secret that no header can carry; httpx's own error would repeat it."""
    if not (secret.isascii() and secret.isprintable()):
        raise SettingsError(f"{variable} holds a character that cannot be sent; copy it again")


def part_of(answer: Any, *keys: str) -> Any:
    """Return what lies below these keys of an answer, None where it has another shape.

    Examples
    --------
    >>> part_of({"scheduler": {"status": "healthy"}}, "scheduler", "status")
    'healthy'
    >>> part_of("<html>", "scheduler", "status")
    """
    for key in keys:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    return answer


def probe_airflow(url: str, variable: str = "Airflow's address") -> None:
    """Ask whether api-server, scheduler, dag-processor and triggerer all report as healthy."""
    health = get(f"{url}/api/v2/monitor/health", variable=variable)
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    told = without_login(url)
    if part_of(health, "metadatabase") is None:
        raise SettingsError(f"what answers at {told} is not Airflow")
    sick = [part for part in parts if part_of(health, part, "status") != "healthy"]
    if sick:
        raise TransientError(f"Airflow at {told}: not healthy yet: {', '.join(sick)}")


def probe_mlflow(url: str) -> None:
    """Ask ``/health``, which answers too early and whatever is wrong, and then a real question."""
    get(f"{url}/health")
    get(f"{url}/api/2.0/mlflow/experiments/search?max_results=1")


def probe_serving(url: str) -> None:
    """Ask whether the service is up; a model may still be missing."""
    get(f"{url}/health")


def probe_workers(broker_url: str, options: Mapping[str, str], wanted: int) -> None:
    """Ask the platform's workers for a sign of life through the broker.

    Raises
    ------
    TransientError
        If fewer than ``wanted`` answered within a second, or the broker did not.
    """
    from celery import Celery
    from kombu.exceptions import KombuError, OperationalError

    try:
        app = Celery(broker=broker_url, broker_transport_options=dict(options))
        answers = app.control.ping(timeout=1.0) or []
    except (OSError, KombuError, OperationalError) as exc:
        raise TransientError(f"the Celery broker did not answer ({type(exc).__name__})") from exc
    if len(answers) < wanted:
        raise TransientError(f"{len(answers)} of {wanted} Celery workers answer")


def probe_postgres(platform: Platform) -> None:
    """Log in.

    Raises
    ------
    SettingsError
        If the server answers and refuses the password.
    """
    problem = platform.postgres.login_error()
    if "password authentication failed" in problem:
        raise SettingsError(
            f"{platform.file} is not the one that {platform.folder / 'postgres'} was made with; "
            "restore it, or remove that folder to begin with empty databases"
        )
    if problem:
        raise TransientError(f"PostgreSQL: {problem}")


def wait_for(
    probe: Probe,
    supervisor: Supervisor,
    programs: tuple[Program, ...],
    timeout_s: float,
    cancelled: Event | None = None,
) -> None:
    """Repeat a probe until it succeeds, or somebody sets ``cancelled``.

    Raises
    ------
    TransientError
        When time is up, or one of the programs ends for good; it names the log to read.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            probe()
            return _refuse_strangers(supervisor.platform, programs)
        except TransientError as exc:
            states = supervisor.states()
            dead = [p for p in programs if p.name in states and states[p.name].state == "FATAL"]
            is_late = time.monotonic() > deadline or (cancelled is not None and cancelled.is_set())
            if dead or is_late:
                raise TransientError(_told(exc, supervisor, dead or list(programs))) from exc
        time.sleep(0.25)


def _refuse_strangers(platform: Platform, programs: tuple[Program, ...]) -> None:
    """Raise SettingsError if the answer came from somebody else, who took the port meanwhile."""
    for program in (program for program in programs if program.port):
        port = platform.ports[str(program.port)]
        if not listens(platform, port):
            raise taken(port, program.name)


def _told(problem: TransientError, supervisor: Supervisor, programs: list[Program]) -> str:
    logs = ", ".join(str(supervisor.log(program)) for program in programs)
    return f"{', '.join(p.name for p in programs)} did not come up: {problem}; read {logs}"
