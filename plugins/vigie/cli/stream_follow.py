"""``vigie stream consume --follow``: until Ctrl-C or SIGTERM, then the last batch and an end."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING

from vigie.cli.stream_text import incidents_line, score_table
from vigie.cli.support import console, errors

if TYPE_CHECKING:
    from vigie.jobs.follow_stream import FollowOptions
    from vigie.jobs.score_metrics import ScoreReport
    from vigie.wiring import LazyServices


def follow_until_interrupted(
    opened: LazyServices, options: FollowOptions, interval_s: float
) -> None:
    """Follow the topic; group incidents and push figures whenever it is quiet."""
    from vigie.jobs.follow_stream import follow_stream
    from vigie.jobs.group_incidents import group_incidents

    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    errors.print(f"Following {options.topic} as {options.member}; Ctrl-C ends it", highlight=False)

    def told(report: ScoreReport) -> None:
        console.print(score_table(report))
        incidents = group_incidents(opened, topic=options.topic, index=options.index)
        console.print(incidents_line(incidents), highlight=False)
        opened.metrics.push(f"stream_follow_{options.member}", report.metrics)

    told(follow_stream(opened, options, should_stop=stop.is_set, on_quiet=told, wait_s=interval_s))
