"""Trigger that waits for lines to score; it runs in the triggerer of Airflow.

The trigger reads the Connections when it runs, so Airflow's database stores no password for it.
Other settings come from the environment, ``.env`` and ``platform.toml``, as in any process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from vigie.errors import TransientError, VigieError
from vigie.operators.connections import connection_overrides_of_trigger

log = logging.getLogger(__name__)

MAX_BACK_OFF_S = 60.0


class LagTrigger(BaseTrigger):
    """Fire when a group has lines to score and a detector is deployed.

    If a service does not answer, the next pause is twice as long, at most a minute. Wrong settings
    end the wait with an ``error`` event.

    Parameters
    ----------
    detector
        Detector that must be deployed. Topic and group are read from the settings at each check,
        so that a change affects a waiting run.
    workers
        Number of tasks that share the partitions; None: ``VIGIE_STREAM_WORKERS``.
    poll_interval_s
        Seconds between two checks.
    max_wait_s
        Seconds after which the event is ``timeout``.
    """

    connections = staticmethod(connection_overrides_of_trigger)

    def __init__(
        self, *, detector: str, workers: int | None, poll_interval_s: float, max_wait_s: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.detector = detector
        self.workers = workers
        self.poll_interval_s = poll_interval_s
        self.max_wait_s = max_wait_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("detector", "workers", "poll_interval_s", "max_wait_s")
        kwargs = {name: getattr(self, name) for name in names}
        return "vigie.operators.lag_trigger.LagTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``ready`` (with each worker's partitions), ``timeout`` or ``error``."""
        deadline = time.monotonic() + self.max_wait_s
        pause = self.poll_interval_s
        overrides: Mapping[str, str] | None = None
        while True:
            try:
                if overrides is None:
                    overrides = await self.connections()
                shares = await asyncio.to_thread(self.look, overrides)
            except TransientError as exc:
                overrides = None  # the Connection may have been corrected
                pause = min(2 * pause, max(MAX_BACK_OFF_S, self.poll_interval_s))
                log.warning("a service did not answer; next check in %.0f s: %s", pause, exc)
            except VigieError as exc:
                yield _event({"status": "error", "message": str(exc)})
                return
            else:
                pause = self.poll_interval_s
                if shares:
                    yield _event({"status": "ready", "workers": shares})
                    return
            if time.monotonic() + pause > deadline:
                yield _event({"status": "timeout"})
                return
            await asyncio.sleep(pause)

    def look(self, overrides: Mapping[str, str]) -> list[list[int]]:
        """Return the partitions of each worker; empty if no lines can be scored.

        The services are closed before the return, so a long wait holds no connection.
        """
        from vigie.anomaly.scoring.stream_lag import stream_lag
        from vigie.settings import Settings
        from vigie.wiring import open_services

        settings = Settings.from_env(overrides, override_source="Airflow Connection")
        topic, group = settings.stream.topic, settings.stream.group
        with open_services(settings) as services:
            lag = stream_lag(services, topic=topic, group=group, detector=self.detector)
        return lag.workers(self.workers or settings.stream.workers) if lag.is_ready else []


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
