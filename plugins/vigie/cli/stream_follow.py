"""``vigie stream consume --follow``: until Ctrl-C or SIGTERM, then the last batch and an end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

from vigie.cli.stream_text import incidents_line, score_table
from vigie.cli.support import console, errors
from vigie.errors import VigieError

if TYPE_CHECKING:
    from vigie.anomaly.scoring.follow_stream import FollowOptions
    from vigie.anomaly.scoring.result import ScoreReport
    from vigie.wiring import LazyServices

log = logging.getLogger(__name__)


def follow_until_interrupted(
    opened: LazyServices, options: FollowOptions, interval_s: float
) -> None:
    """Follow the topic; now and then group incidents, and push figures as a job of its own does.

    They cost a run nothing when they fail. Figures are deleted at an end in good order: nobody
    keeps them fresh afterwards.
    """
    from vigie.anomaly.scoring.follow_stream import follow_stream
    from vigie.monitoring.push_metrics import delete_metrics, push_metrics

    job, printed = f"stream_follow_{options.member}", 0

    def told(report: ScoreReport) -> None:
        nonlocal printed
        if report.read > printed:
            printed = report.read
            console.print(score_table(report))
        reports = [report.as_xcom()]
        failed = not _grouped(opened, options, report, reports)
        push_metrics(opened, dag_id=job, results=reports, failed_tasks=int(failed))

    with _first_signal() as stop:
        errors.print(
            f"Following {options.topic} as {options.member}; Ctrl-C ends it", highlight=False
        )
        report = follow_stream(
            opened, options, should_stop=stop.is_set, on_report=told, wait_s=interval_s
        )
        console.print(score_table(report))
        _grouped(opened, options, report, [])
        delete_metrics(opened, dag_id=job)


def _grouped(
    opened: LazyServices, options: FollowOptions, report: ScoreReport, reports: list[dict[str, Any]]
) -> bool:
    """Group incidents and add the report; what is not done now is noted for the next time."""
    from vigie.anomaly.scoring.group_incidents import group_incidents

    if report.lag is None:  # a service is away, and somebody waits for our end
        return False
    try:
        incidents = group_incidents(opened, topic=options.topic, index=options.index)
    except VigieError as exc:
        log.warning("incidents are grouped later: %s", exc)
        return False
    if incidents.written:
        console.print(incidents_line(incidents), highlight=False)
    reports.append(incidents.as_xcom())
    return True


@contextmanager
def _first_signal() -> Iterator[Event]:
    """Yield what the first Ctrl-C or SIGTERM sets; the second ends the process at once."""
    stop = Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def heard(*_: object) -> None:
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, heard)
    try:
        yield stop
    finally:
        restore()
