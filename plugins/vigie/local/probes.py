"""Readiness probes: each raises TransientError while its service is not ready."""

from __future__ import annotations

import ssl
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
    auth: tuple[str, str] | None = None,
    verify: ssl.SSLContext | bool = True,
    refused: Callable[[str], SettingsError] | None = None,
    variable: str = "an address of the platform",
    ca: str = "the system's CA certificates",
) -> Any:
    """Request a URL without a proxy, and return the response as parsed JSON or as text.

    A login in the URL is sent as a header, because httpx logs the URLs that it requests. If the
    status is 401 or 403, the error that ``refused`` returns for the response is raised.
    ``variable`` and ``ca`` name the settings of the URL and of the CA certificates in messages.

    Raises
    ------
    SettingsError
        If the URL is invalid, or the server's certificate or the login is not accepted.
    TransientError
        If the server did not answer, returned another status than 200, or sent malformed JSON.
    """
    given = checked_url(url, variable)
    shown = str(given.copy_with(userinfo=b""))
    auth = (given.username, given.password) if given.userinfo else auth
    options: dict[str, Any] = {"headers": headers, "auth": auth, "verify": verify}
    try:
        with httpx.Client(trust_env=False, timeout=timeout_s, **options) as client:
            answer = client.get(shown)
    except httpx.HTTPError as exc:
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            raise SettingsError(f"the certificate of {shown} was not accepted; check {ca}") from exc
        raise TransientError(f"{shown} did not answer ({type(exc).__name__})") from exc
    if refused and answer.status_code in (401, 403):
        raise refused(f"{answer.status_code} {answer.text.strip()[:200]}")
    if answer.status_code != httpx.codes.OK:
        raise TransientError(f"{shown} answered with status {answer.status_code}")
    try:
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text
    except ValueError as exc:
        raise TransientError(f"{shown} answered with malformed JSON") from exc


def check_header(variable: str, secret: str) -> None:
    """Raise SettingsError if a secret is not valid in a header (httpx's error would show it)."""
    if not (secret.isascii() and secret.isprintable()):
        raise SettingsError(f"{variable} contains a character that is not allowed in a header")


def part_of(answer: Any, *keys: str) -> Any:
    """Return the value at a path of keys in a JSON response; None if the path does not exist.

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
    """Check that Airflow's database, scheduler, dag-processor and triggerer are healthy."""
    health = get(f"{url}/api/v2/monitor/health", variable=variable)
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    shown = without_login(url)
    if part_of(health, "metadatabase") is None:
        raise SettingsError(f"the server at {shown} is not Airflow")
    unhealthy = [part for part in parts if part_of(health, part, "status") != "healthy"]
    if unhealthy:
        raise TransientError(f"Airflow at {shown}: not healthy yet: {', '.join(unhealthy)}")


def probe_mlflow(url: str) -> None:
    """Check ``/health`` and an API request, because ``/health`` does not test the database."""
    get(f"{url}/health")
    get(f"{url}/api/2.0/mlflow/experiments/search?max_results=1")


def probe_serving(url: str) -> None:
    """Check that serving answers, with or without a loaded model."""
    get(f"{url}/health")


def probe_workers(broker_url: str, options: Mapping[str, str], wanted: int) -> None:
    """Ping the platform's workers through the broker.

    Raises
    ------
    TransientError
        If the broker did not answer, or fewer than ``wanted`` workers answered within a second.
    """
    from celery import Celery
    from kombu.exceptions import KombuError, OperationalError

    try:
        app = Celery(broker=broker_url, broker_transport_options=dict(options))
        answers = app.control.ping(timeout=1.0) or []
    except (OSError, KombuError, OperationalError) as exc:
        raise TransientError(f"the Celery broker did not answer ({type(exc).__name__})") from exc
    if len(answers) < wanted:
        raise TransientError(f"only {len(answers)} of {wanted} Celery workers answered")


def probe_postgres(platform: Platform) -> None:
    """Log in to the embedded PostgreSQL.

    Raises
    ------
    SettingsError
        If the server refuses the password.
    """
    problem = platform.postgres.login_error()
    if "password authentication failed" in problem:
        raise SettingsError(
            f"the password in {platform.file} is wrong for the databases in "
            f"{platform.folder / 'postgres'}; restore the file, or remove the folder to start "
            "with empty databases"
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
    """Repeat a probe until it succeeds; then check that the programs listen on their ports.

    Raises
    ------
    SettingsError
        If another process listens on the port of a program.
    TransientError
        On timeout, if ``cancelled`` is set, or if a program fails; the message names its log.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            probe()
            return _check_owner(supervisor.platform, programs)
        except TransientError as exc:
            states = supervisor.states()
            dead = [p for p in programs if p.name in states and states[p.name].state == "FATAL"]
            is_late = time.monotonic() > deadline or (cancelled is not None and cancelled.is_set())
            if dead or is_late:
                raise TransientError(_failure(exc, supervisor, dead or list(programs))) from exc
        time.sleep(0.25)


def _check_owner(platform: Platform, programs: tuple[Program, ...]) -> None:
    """Raise SettingsError if a process outside the platform listens on a program's port."""
    for program in (program for program in programs if program.port):
        port = platform.ports[str(program.port)]
        if not listens(platform, port):
            raise taken(port, program.name)


def _failure(problem: TransientError, supervisor: Supervisor, programs: list[Program]) -> str:
    logs = ", ".join(str(supervisor.log(program)) for program in programs)
    return f"{', '.join(p.name for p in programs)} did not become ready: {problem}; read {logs}"
