"""``vigie stream``: write log lines to the stream and score them."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.cli.stream_text import incidents_line, ingest_line, score_table
from vigie.cli.support import BaseDir, Detector, console, errors, services
from vigie.errors import DataError, VigieError

if TYPE_CHECKING:
    from vigie.anomaly.ingest.ingest_log_files import IngestResult
    from vigie.anomaly.scoring.follow_stream import FollowOptions
    from vigie.anomaly.scoring.result import ScoreResult
    from vigie.settings import StreamSettings
    from vigie.wiring import LazyServices

log = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True)

Topic = Annotated[str | None, typer.Option(help="Name of the topic. [default: VIGIE_STREAM_TOPIC]")]
Pattern = Annotated[
    list[str] | None,
    typer.Option(
        help="Glob pattern of the log files; repeatable. [default: log-*/**/*.txt, **/*.log]"
    ),
]
Delay = Annotated[float, typer.Option(min=0.0, help="Pause after each batch, in seconds.")]
Batch = Annotated[int, typer.Option(min=1, help="Lines per batch.")]
Factor = Annotated[
    float,
    typer.Option(
        min=0.0, help="Factor of the dynamic threshold: mean + FACTOR * std of the scores."
    ),
]
Threshold = Annotated[
    float | None, typer.Option(help="Fixed threshold. [default: the dynamic threshold]")
]
Update = Annotated[
    str, typer.Option(help="Scores that update the threshold: all, winsorised, skip-anomalies.")
]
MaxLines = Annotated[int, typer.Option(min=1, help="Maximum number of lines to score.")]
AllowGap = Annotated[
    bool,
    typer.Option("--allow-gap", help="Skip lines that retention deleted before they were read."),
]


@app.command()
def topic(
    name: Topic = None,
    partitions: Annotated[
        int, typer.Option(min=1, help="Number of partitions of a new topic.")
    ] = 1,
    recreate: Annotated[
        bool, typer.Option(help="Delete an existing topic with its lines and offsets first.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --recreate: confirm the deletion.")
    ] = False,
) -> None:
    """Create the topic unless it exists."""
    from vigie.anomaly.scoring.stream_lag import ensure_topic, readable_lines

    with services({"VIGIE_STREAM_TOPIC": name}) as opened:
        wanted = opened.settings.stream.topic
        if recreate and not yes:
            lines = readable_lines(opened.stream, wanted)
            raise DataError(
                f"--recreate would delete {lines} lines of {wanted!r}; confirm with --yes"
            )
        result = ensure_topic(opened, topic=wanted, partitions=partitions, recreate=recreate)
        verb = "created" if result.created else "already exists"
        deleted = f", {result.lines_deleted} lines deleted" if result.lines_deleted else ""
        console.print(
            f"Topic {escape(wanted)} {verb} ({result.partitions} partitions{deleted}).",
            highlight=False,
        )


@app.command()
def ingest(
    base_dir: BaseDir = None,
    pattern: Pattern = None,
    delay: Delay = 0.0,
    batch: Batch = 1000,
    topic: Topic = None,
) -> None:
    """Write complete new lines of log files to the topic; exit 2 if a file cannot be read."""
    with services({"VIGIE_STREAM_TOPIC": topic}) as opened:
        result = _ingest(opened, base_dir, pattern, delay, batch)
    if result.unreadable:
        raise typer.Exit(2)


@app.command()
def consume(
    factor: Factor = 3.0,
    threshold: Threshold = None,
    update: Update = "all",
    batch: Batch = 1000,
    max_lines: MaxLines = 1_000_000,
    detector: Detector = LSTM_AUTOENCODER,
    topic: Topic = None,
    follow: Annotated[bool, typer.Option(help="Keep running until Ctrl-C or SIGTERM.")] = False,
    interval: Annotated[
        float,
        typer.Option(
            min=0.1, help="With --follow: print the counts after this many seconds without a line."
        ),
    ] = 2.0,
    member: Annotated[
        str | None,
        typer.Option(
            help="With --follow: name of this process in its metrics. [default: vigie-HOSTNAME]"
        ),
    ] = None,
    allow_gap: AllowGap = False,
) -> None:
    """Score and index the uncommitted lines, and group anomalies into incidents."""
    from vigie.anomaly.scoring.follow_stream import CALL_WAIT_S

    call_wait_s = CALL_WAIT_S if follow else None
    with services({"VIGIE_STREAM_TOPIC": topic}, call_wait_s) as opened:
        options = _options(opened.settings.stream, detector, factor, threshold, update, batch)
        if not follow:
            _consume(opened, options, max_lines, allow_gap)
            return
        if allow_gap:
            _skip_lost(opened)
        _follow(opened, options, member or f"vigie-{socket.gethostname()}", interval)


@app.command()
def run(
    base_dir: BaseDir = None,
    pattern: Pattern = None,
    delay: Delay = 0.0,
    batch: Batch = 1000,
    factor: Factor = 3.0,
    threshold: Threshold = None,
    update: Update = "all",
    max_lines: MaxLines = 1_000_000,
    detector: Detector = LSTM_AUTOENCODER,
    topic: Topic = None,
    allow_gap: AllowGap = False,
) -> None:
    """Run the commands topic, ingest and consume in this order."""
    from vigie.anomaly.scoring.stream_lag import ensure_topic

    with services({"VIGIE_STREAM_TOPIC": topic}) as opened:
        ensure_topic(opened, topic=opened.settings.stream.topic)
        result = _ingest(opened, base_dir, pattern, delay, batch)
        options = _options(opened.settings.stream, detector, factor, threshold, update, batch)
        _consume(opened, options, max_lines, allow_gap)
    if result.unreadable:
        raise typer.Exit(2)


def _ingest(
    opened: LazyServices, base_dir: Path | None, pattern: list[str] | None, delay: float, batch: int
) -> IngestResult:
    from vigie.anomaly.ingest.ingest_log_files import ingest_log_files
    from vigie.anomaly.ingest.log_files import PATTERNS, log_folder

    base = base_dir or log_folder(opened.paths.data, opened.paths.local)
    errors.print(f"Reading log files below {escape(str(base))}", highlight=False)
    result = ingest_log_files(
        opened,
        topic=opened.settings.stream.topic,
        base_dir=base,
        patterns=pattern or PATTERNS,
        batch=batch,
        delay_s=delay,
    )
    console.print(ingest_line(result), highlight=False)
    return result


def _options(
    names: StreamSettings,
    detector: str,
    factor: float,
    threshold: float | None,
    update: str,
    batch: int,
) -> FollowOptions:
    from vigie.anomaly.scoring.follow_stream import FollowOptions

    return FollowOptions(
        topic=names.topic,
        group=names.group,
        index=names.index,
        detector=detector,
        factor=factor,
        threshold=threshold,
        update=update,
        batch_size=batch,
        dead_letter_topic=names.dead_letter_topic,
    )


def _consume(opened: LazyServices, options: FollowOptions, max_lines: int, allow_gap: bool) -> None:
    from vigie.anomaly.scoring.group_incidents import group_incidents
    from vigie.anomaly.scoring.score_stream import score_stream

    result = score_stream(opened, **asdict(options), max_lines=max_lines, allow_gap=allow_gap)
    console.print(score_table(result))
    incidents = group_incidents(opened, topic=options.topic, index=options.index)
    console.print(incidents_line(incidents), highlight=False)


def _skip_lost(opened: LazyServices) -> None:
    from vigie.anomaly.scoring.stream_lag import skip_lost_lines

    names = opened.settings.stream
    lost = skip_lost_lines(opened.stream, topic=names.topic, group=names.group)
    console.print(f"Skipped {lost} lines that retention deleted before they were read.")


def _follow(opened: LazyServices, options: FollowOptions, member: str, interval_s: float) -> None:
    """Follow the topic until a signal; print counts, group anomalies and push metrics regularly.

    A failure to group or to push is logged and does not end the process. After a signal, the
    metrics are deleted, because no process updates them any more.
    """
    from vigie.anomaly.scoring.follow_stream import follow_stream
    from vigie.monitoring.push_metrics import delete_metrics, push_metrics

    job, printed = f"stream_follow_{member}", 0

    def publish(result: ScoreResult) -> None:
        nonlocal printed
        if result.read > printed:
            printed = result.read
            console.print(score_table(result))
        results = [result.as_xcom()]
        failed = not _group(opened, options, result, results)
        push_metrics(opened, dag_id=job, results=results, failed_tasks=int(failed))

    with _first_signal() as stop:
        errors.print(
            f"Following {options.topic} as {member}; press Ctrl-C to stop", highlight=False
        )
        result = follow_stream(
            opened, options, should_stop=stop.is_set, on_result=publish, wait_s=interval_s
        )
        console.print(score_table(result))
        _group(opened, options, result, [])
        delete_metrics(opened, dag_id=job)


def _group(
    opened: LazyServices, options: FollowOptions, result: ScoreResult, results: list[dict[str, Any]]
) -> bool:
    """Group anomalies and append to ``results``; return False if the caller must retry later."""
    from vigie.anomaly.scoring.group_incidents import group_incidents

    if result.lag is None:  # A service is unavailable; a call would delay a stop.
        return False
    try:
        incidents = group_incidents(opened, topic=options.topic, index=options.index)
    except VigieError as exc:
        log.warning(
            "cannot group anomalies into incidents: %s; a later attempt will group them", exc
        )
        return False
    if incidents.written:
        console.print(incidents_line(incidents), highlight=False)
    results.append(incidents.as_xcom())
    return True


@contextmanager
def _first_signal() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; a second signal ends the process."""
    stop = Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(*_: object) -> None:
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
