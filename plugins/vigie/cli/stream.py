"""``vigie stream``: write log lines to the stream and score them."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.cli.stream_text import incidents_line, ingest_line, lost_line, score_table
from vigie.cli.support import console, errors, services
from vigie.errors import DataError, VigieError

if TYPE_CHECKING:
    from vigie.anomaly.ingest.ingest_log_files import IngestResult
    from vigie.anomaly.scoring.follow_stream import FollowOptions
    from vigie.anomaly.scoring.result import ScoreResult
    from vigie.wiring import LazyServices

log = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True)

Topic = Annotated[str | None, typer.Option(help="Topic. [default: VIGIE_STREAM_TOPIC]")]
BaseDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the logs. [default: data/kafka if it contains logs, else data/local/logs]"
    ),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option(help="Pattern of the files; repeatable. [default: log-*/**/*.txt, **/*.log]"),
]
Delay = Annotated[float, typer.Option(min=0.0, help="Pause after each batch, in seconds.")]
Batch = Annotated[int, typer.Option(min=1, help="Lines per batch.")]
Factor = Annotated[
    float, typer.Option(min=0.0, help="Dynamic threshold: mean + FACTOR * std of the scores.")
]
Threshold = Annotated[
    float | None, typer.Option(help="Fixed threshold. [default: the dynamic one]")
]
Update = Annotated[
    str, typer.Option(help="Scores that update the threshold: all, winsorised, skip-anomalies.")
]
MaxLines = Annotated[int, typer.Option(min=1, help="Maximum number of lines.")]
AllowGap = Annotated[
    bool,
    typer.Option("--allow-gap", help="Skip lines that retention deleted before they were read."),
]
Detector = Annotated[str, typer.Option(help="Detector that scores.")]


@app.command()
def topic(
    name: Topic = None,
    partitions: Annotated[
        int, typer.Option(min=1, help="Number of partitions of a new topic.")
    ] = 1,
    recreate: Annotated[
        bool, typer.Option(help="Delete the topic with its lines and offsets first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm the deletion.")] = False,
) -> None:
    """Create the topic unless it exists."""
    from vigie.anomaly.scoring.stream_lag import ensure_topic, readable_lines

    with services({"VIGIE_STREAM_TOPIC": name}) as opened:
        wanted = opened.settings.stream.topic
        if recreate and not yes:
            lines = readable_lines(opened.stream, wanted)
            raise DataError(f"this would delete {lines} lines of {wanted!r}; add --yes to do it")
        report = ensure_topic(opened, topic=wanted, partitions=partitions, recreate=recreate)
        verb = "created" if report.created else "was already there"
        deleted = f", {report.lines_deleted} lines deleted" if report.lines_deleted else ""
        console.print(
            f"Topic {escape(wanted)} {verb} ({report.partitions} partitions{deleted}).",
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
    """Write the new complete lines of log files to the topic.

    Exit code 2: some files could not be read.
    """
    with services({"VIGIE_STREAM_TOPIC": topic}) as opened:
        report = _ingest(opened, base_dir, pattern, delay, batch)
    _fail_if_unreadable(report)


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
        float, typer.Option(min=0.1, help="With --follow: seconds without a line before a report.")
    ] = 2.0,
    member: Annotated[
        str | None,
        typer.Option(help="Name of this follower in its metrics. [default: the host name]"),
    ] = None,
    allow_gap: AllowGap = False,
) -> None:
    """Score and index the waiting lines, and group anomalies into incidents."""
    from vigie.anomaly.scoring.follow_stream import CALL_WAIT_S, FollowOptions

    call_wait_s = CALL_WAIT_S if follow else None
    with services({"VIGIE_STREAM_TOPIC": topic}, call_wait_s) as opened:
        if not follow:
            _consume(opened, factor, threshold, update, batch, max_lines, detector, allow_gap)
            return
        names = opened.settings.stream
        if allow_gap:
            _skip_lost(opened)
        options = FollowOptions(
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
    """Run topic, ingest and consume."""
    from vigie.anomaly.scoring.stream_lag import ensure_topic

    with services({"VIGIE_STREAM_TOPIC": topic}) as opened:
        ensure_topic(opened, topic=opened.settings.stream.topic)
        report = _ingest(opened, base_dir, pattern, delay, batch)
        _consume(opened, factor, threshold, update, batch, max_lines, detector, allow_gap)
    _fail_if_unreadable(report)


def _ingest(
    opened: LazyServices, base_dir: Path | None, pattern: list[str] | None, delay: float, batch: int
) -> IngestResult:
    from vigie.anomaly.ingest.ingest_log_files import ingest_log_files
    from vigie.anomaly.ingest.log_files import PATTERNS, log_folder

    base = base_dir or log_folder(opened.paths.data, opened.paths.local)
    errors.print(f"Reading log files below {escape(str(base))}", highlight=False)
    report = ingest_log_files(
        opened,
        topic=opened.settings.stream.topic,
        base_dir=base,
        patterns=pattern or PATTERNS,
        batch=batch,
        delay_s=delay,
    )
    console.print(ingest_line(report), highlight=False)
    return report


def _fail_if_unreadable(report: IngestResult) -> None:
    """Exit with code 2 at the end if files could not be read."""
    if report.unreadable:
        raise typer.Exit(2)


def _consume(
    opened: LazyServices,
    factor: float,
    threshold: float | None,
    update: str,
    batch: int,
    max_lines: int,
    detector: str,
    allow_gap: bool,
) -> None:
    from vigie.anomaly.scoring.group_incidents import group_incidents
    from vigie.anomaly.scoring.score_stream import score_stream

    names = opened.settings.stream
    report = score_stream(
        opened,
        topic=names.topic,
        group=names.group,
        index=names.index,
        detector=detector,
        factor=factor,
        threshold=threshold,
        update=update,
        max_lines=max_lines,
        batch_size=batch,
        dead_letter_topic=names.dead_letter_topic,
        allow_gap=allow_gap,
    )
    console.print(score_table(report))
    incidents = group_incidents(opened, topic=names.topic, index=names.index)
    console.print(incidents_line(incidents), highlight=False)


def _skip_lost(opened: LazyServices) -> None:
    from vigie.anomaly.scoring.stream_lag import skip_lost_lines

    names = opened.settings.stream
    lost = skip_lost_lines(opened.stream, topic=names.topic, group=names.group)
    console.print(lost_line(lost), highlight=False)


def _follow(opened: LazyServices, options: FollowOptions, member: str, interval_s: float) -> None:
    """Follow the topic until a signal; group incidents and push metrics at every report.

    A failure of either is logged, and does not end the follower. The metrics are deleted at a
    regular end, because nothing updates them afterwards.
    """
    from vigie.anomaly.scoring.follow_stream import follow_stream
    from vigie.monitoring.push_metrics import delete_metrics, push_metrics

    job, printed = f"stream_follow_{member}", 0

    def report(result: ScoreResult) -> None:
        nonlocal printed
        if result.read > printed:
            printed = result.read
            console.print(score_table(result))
        reports = [result.as_xcom()]
        failed = not _group(opened, options, result, reports)
        push_metrics(opened, dag_id=job, results=reports, failed_tasks=int(failed))

    with _first_signal() as stop:
        errors.print(
            f"Following {options.topic} as {member}; press Ctrl-C to stop", highlight=False
        )
        result = follow_stream(
            opened, options, should_stop=stop.is_set, on_result=report, wait_s=interval_s
        )
        console.print(score_table(result))
        _group(opened, options, result, [])
        delete_metrics(opened, dag_id=job)


def _group(
    opened: LazyServices, options: FollowOptions, result: ScoreResult, reports: list[dict[str, Any]]
) -> bool:
    """Group incidents and append the result; return False if that failed and is left to later."""
    from vigie.anomaly.scoring.group_incidents import group_incidents

    if result.lag is None:  # a service is away, and a stop must not wait for it
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
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second ends the process."""
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
