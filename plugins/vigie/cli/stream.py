"""``vigie stream``: write log lines to the stream, score them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.cli.stream_text import incidents_line, ingest_line, lost_line, score_table
from vigie.cli.support import console, errors, services
from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.anomaly.ingest.ingest_log_files import IngestResult
    from vigie.wiring import LazyServices

app = typer.Typer(no_args_is_help=True)

Topic = Annotated[str | None, typer.Option(help="Topic (else VIGIE_STREAM_TOPIC).")]
BaseDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the logs (else data/kafka if it has any, else data/local/logs)."),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option(help="Which files below it; may be given again (else log-*/**/*.txt, **/*.log)."),
]
Delay = Annotated[float, typer.Option(min=0.0, help="Seconds to pause after each batch.")]
Batch = Annotated[int, typer.Option(min=1, help="Lines a batch.")]
Factor = Annotated[
    float, typer.Option(min=0.0, help="Dynamic threshold: mean + FACTOR x std of the scores.")
]
Threshold = Annotated[float | None, typer.Option(help="A fixed threshold instead.")]
Update = Annotated[
    str, typer.Option(help="What the threshold learns from: all, winsorised, skip-anomalies.")
]
MaxLines = Annotated[int, typer.Option(min=1, help="Lines at most.")]
AllowGap = Annotated[
    bool,
    typer.Option(
        "--allow-gap", help="Go on behind lines that retention dropped before they were read."
    ),
]
Detector = Annotated[str, typer.Option(help="Whose champion scores.")]


@app.command()
def topic(
    name: Topic = None,
    partitions: Annotated[int, typer.Option(min=1, help="Of a new topic.")] = 1,
    recreate: Annotated[bool, typer.Option(help="Delete its lines and offsets first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
) -> None:
    """Create the topic unless it exists."""
    from vigie.anomaly.scoring.ensure_topic import ensure_topic, readable_lines

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
    """Write every new complete line of the log files to the topic (exit code 2: not all files)."""
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
    follow: Annotated[bool, typer.Option(help="Go on until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a line until it is quiet.")
    ] = 2.0,
    member: Annotated[
        str | None,
        typer.Option(help="This follower's own name in its group (else the machine's)."),
    ] = None,
    allow_gap: AllowGap = False,
) -> None:
    """Score the waiting lines, index them, group anomalies into incidents."""
    from vigie.anomaly.scoring.follow_stream import INDEX_WAIT_S

    index_wait_s = INDEX_WAIT_S if follow else None
    with services({"VIGIE_STREAM_TOPIC": topic}, index_wait_s) as opened:
        if not follow:
            _consume(opened, factor, threshold, update, batch, max_lines, detector, allow_gap)
            return
        from vigie.anomaly.scoring.follow_stream import FollowOptions
        from vigie.cli.stream_follow import follow_until_interrupted

        names = opened.settings.stream
        if allow_gap:
            _skip_lost(opened)
        options = FollowOptions(
            topic=names.topic,
            group=names.group,
            index=names.index,
            member=member or f"vigie-{socket.gethostname()}",
            detector=detector,
            factor=factor,
            threshold=threshold,
            update=update,
            batch_size=batch,
            dead_letter_topic=names.dead_letter_topic,
        )
        follow_until_interrupted(opened, options, interval)


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
    """Topic, ingest and consume in one go."""
    from vigie.anomaly.scoring.ensure_topic import ensure_topic

    with services({"VIGIE_STREAM_TOPIC": topic}) as opened:
        ensure_topic(opened, topic=opened.settings.stream.topic)
        report = _ingest(opened, base_dir, pattern, delay, batch)
        _consume(opened, factor, threshold, update, batch, max_lines, detector, allow_gap)
    _fail_if_unreadable(report)


def _ingest(
    opened: LazyServices, base_dir: Path | None, pattern: list[str] | None, delay: float, batch: int
) -> IngestResult:
    from vigie.anomaly.ingest.files import PATTERNS, log_folder
    from vigie.anomaly.ingest.ingest_log_files import ingest_log_files

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
    """End with exit code 2 after the rest was done: somebody must look at these files."""
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
    from vigie.anomaly.scoring.skip_lost_lines import skip_lost_lines

    names = opened.settings.stream
    lost = skip_lost_lines(opened, topic=names.topic, group=names.group)
    console.print(lost_line(lost), highlight=False)
