"""``vigie check``: probe the service of every role, in parallel and with a common deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TypeVar

from vigie.errors import SettingsError, TransientError, VigieError
from vigie.local.environments import differences
from vigie.local.role_checks import connection_check, role_checks
from vigie.local.state import Platform, read_platform
from vigie.local.supervision import Supervisor
from vigie.records import ServiceStatus
from vigie.settings import Settings

T = TypeVar("T")

#: Limit for all probes together, so that the command takes less than five seconds. The timeouts of
#: the clients are not sufficient: they limit each read, and a server may send one byte per second.
DEADLINE_S = 4.0


@dataclass(frozen=True, slots=True)
class Checked:
    """The status of every role, and the result of the comparison with Airflow Connections."""

    statuses: list[ServiceStatus]
    connections: ServiceStatus | None  # None without a local platform

    def problem(self) -> VigieError | None:
        """Return the SettingsError or TransientError to raise; None if every check passed."""
        down = [status.role for status in self.statuses if not status.ok]
        messages = [f"not available: {', '.join(down)}"] if down else []
        compared = self.connections
        if compared and not compared.ok and (compared.is_permanent or "orchestration" not in down):
            messages.append(compared.detail)
        every = [*self.statuses, *([compared] if compared else [])]
        kind = SettingsError if any(s.is_permanent for s in every) else TransientError
        return kind("; ".join(messages)) if messages else None


def check_roles(settings: Settings) -> Checked:
    """Probe every role, and compare the local platform's Airflow Connections with the settings."""
    platform = read_platform(settings.paths.root)
    checks = role_checks(settings, platform)
    if platform:
        checks.append(connection_check(platform, settings))
    results = call_in_parallel([partial(one.run, settings) for one in checks], DEADLINE_S)
    found = [
        result or one.timed_out(settings, DEADLINE_S)
        for one, result in zip(checks, results, strict=True)
    ]
    compared = found.pop() if platform else None
    return Checked([*found, *_shell(platform)], compared)


def _shell(platform: Platform | None) -> list[ServiceStatus]:
    """Return a status that lists the settings in which this shell and the platform differ."""
    if platform is None or not Supervisor(platform).is_running():
        return []
    changed = differences(platform)
    if not changed:
        return [ServiceStatus("settings", "this shell", True, "same as the running platform")]
    detail = f"this shell differs from the running platform in {', '.join(changed)}; run: vigie up"
    return [ServiceStatus("settings", "this shell", True, detail)]


def call_in_parallel(calls: Sequence[Callable[[], T]], timeout_s: float) -> list[T | None]:
    """Return the results in the order of the calls; None if a call did not return in time.

    Each call runs in a daemon thread, so an unfinished call does not delay the exit of the process.
    If a call raises, the exception is raised here.

    Examples
    --------
    >>> from time import sleep
    >>> call_in_parallel([lambda: "soon", lambda: sleep(60)], timeout_s=0.1)
    ['soon', None]
    """
    futures = [_started(call) for call in calls]
    done, _ = wait(futures, timeout_s)
    return [future.result() if future in done else None for future in futures]


def _started(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 (raised by future.result)
            future.set_exception(exc)

    Thread(target=run, daemon=True).start()
    return future
