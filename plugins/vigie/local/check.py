"""``vigie check``: what each role uses, whether it answers, and what to do when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vigie.errors import SettingsError, TransientError, VigieError
from vigie.local.at_once import at_once
from vigie.local.check_questions import connections, questions
from vigie.local.environments import differences
from vigie.local.state import Platform, read_platform
from vigie.local.supervision import Supervisor
from vigie.records import ServiceStatus
from vigie.settings import Settings

#: For all questions together: a probe's own limits are those of a read, and a server that sends a
#: byte a second never meets one. With it the command takes less than five seconds.
DEADLINE_S = 4.0


@dataclass(frozen=True, slots=True)
class Checked:
    """The status of every role, and of the comparison with Connections where there is one."""

    statuses: list[ServiceStatus]
    connections: ServiceStatus | None

    def problem(self) -> VigieError | None:
        """Return what the command ends with: what is wrong goes before what is down."""
        down = [status.role for status in self.statuses if not status.ok]
        told = [f"not available: {', '.join(down)}"] if down else []
        compared = self.connections
        if compared and not compared.ok and (compared.is_permanent or "orchestration" not in down):
            told.append(compared.detail)
        every = [*self.statuses, *([compared] if compared else [])]
        kind = SettingsError if any(s.is_permanent for s in every) else TransientError
        return kind("; ".join(told)) if told else None


def check(settings: Settings) -> Checked:
    """Ask every role, and the local platform's Airflow for its Connections."""
    platform = read_platform(settings.paths.root)
    asked = questions(settings, platform)
    if platform:
        asked.append(connections(platform, settings))
    answers = at_once([partial(question.ask, settings) for question in asked], DEADLINE_S)
    found = [
        answer or question.late(settings, DEADLINE_S)
        for question, answer in zip(asked, answers, strict=True)
    ]
    compared = found.pop() if platform else None
    return Checked([*found, *_shell(platform)], compared)


def check_everything(settings: Settings) -> list[ServiceStatus]:
    """Return the status of every role; the order is that of the design's table."""
    return check(settings).statuses


def _shell(platform: Platform | None) -> list[ServiceStatus]:
    """Say whether this shell would do something else than the running platform does."""
    if platform is None or not Supervisor(platform).is_running():
        return []
    changed = differences(platform)
    if not changed:
        return [ServiceStatus("settings", "this shell", True, "as the platform was started")]
    detail = f"this shell differs from the running platform in {', '.join(changed)} (vigie up)"
    return [ServiceStatus("settings", "this shell", True, detail)]
