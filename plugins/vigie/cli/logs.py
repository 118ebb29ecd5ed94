"""``vigie logs``: collect the API's prediction logs into the log index."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from vigie.cli.logs_expire import expire
from vigie.cli.logs_text import (
    deduplication_text,
    export_text,
    indices_table,
    ingest_line,
    ingest_table,
    letters_table,
    replay_text,
)
from vigie.cli.support import console, errors, services

if TYPE_CHECKING:
    from vigie.collection.ingest_logs import IngestReport
    from vigie.wiring import LazyServices

app = typer.Typer(no_args_is_help=True)
app.command()(expire)

Limit = Annotated[int, typer.Option(min=1, help="Lines a round, at most.")]
GradioUrl = Annotated[
    str | None, typer.Option(help="Address of the served model (else GRADIO_URL).")
]
HfToken = Annotated[
    str | None, typer.Option(help="Token of a private Space (else HF_TOKEN, which stays hidden).")
]


@app.command()
def once(limit: Limit = 100, gradio_url: GradioUrl = None, hf_token: HfToken = None) -> None:
    """Check what is needed, then collect new lines once."""
    from vigie.collection.check_prerequisites import check_prerequisites

    with services({"GRADIO_URL": gradio_url, "HF_TOKEN": hf_token}) as opened:
        report = check_prerequisites(opened, raw_index=opened.settings.elasticsearch.index)
        console.print(f"Collecting from {escape(report.source)}", highlight=False)
        console.print(ingest_table(_collect(opened, limit)))


@app.command()
def run(
    limit: Limit = 100,
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds between rounds (else PIPELINE_POLL_INTERVAL)."),
    ] = None,
    gradio_url: GradioUrl = None,
    hf_token: HfToken = None,
) -> None:
    """Collect again and again until Ctrl-C; waits for a service that is down."""
    from vigie.collection.follow_logs import Waiting, follow_logs

    with services({"GRADIO_URL": gradio_url, "HF_TOKEN": hf_token}) as opened:
        interval_s = interval or opened.settings.pipeline.poll_interval_s
        rounds = follow_logs(
            lambda: _collect(opened, limit), limit=limit, interval_s=interval_s, sleep=time.sleep
        )
        console.print(f"Collecting every {interval_s:g} s; Ctrl-C ends it.", highlight=False)
        collected = 0
        try:
            for event in rounds:
                if isinstance(event, Waiting):
                    text = f"{event.reason}. Next attempt in {event.wait_s:.0f} s."
                    errors.print(f"[yellow]{escape(text)}[/]", highlight=False)
                elif event.read:
                    collected += event.read
                    console.print(ingest_line(event), highlight=False)
        except KeyboardInterrupt:
            console.print(f"Stopped; {collected} lines collected.", highlight=False)


@app.command("check-indices")
def check() -> None:
    """Check that the log indices exist with the right mappings (and make those that are absent)."""
    from vigie.collection.check_indices import check_indices

    with services() as opened:
        report = check_indices(opened, raw_index=opened.settings.elasticsearch.index)
    console.print(indices_table(report))
    if not report.is_well:
        raise typer.Exit(2)


@app.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete them.")] = False,
    expect_cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Elasticsearch: the cluster that is meant."),
    ] = None,
) -> None:
    """Delete the three log indices; the next round collects everything again."""
    from vigie.collection.clear_indices import clear_indices

    with services() as opened:
        index = opened.settings.elasticsearch.index
        report = clear_indices(
            opened, confirmed=yes, expect_cluster=expect_cluster, raw_index=index
        )
    for name, documents in report.deleted.items():
        console.print(f"{name}: {documents} documents deleted", highlight=False)


@app.command()
def deduplicate() -> None:
    """Keep only the newest document of each transaction (there is normally nothing to remove)."""
    from vigie.collection.deduplicate_indices import deduplicate_indices

    with services() as opened:
        report = deduplicate_indices(opened)
    console.print(deduplication_text(report), highlight=False)


@app.command()
def export(
    model: Annotated[str | None, typer.Option(help="Which model; else every one.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to (one model only).")] = None,
) -> None:
    """Export predictions to Parquet: base and derived features, target (the model's own answer)."""
    from vigie.collection.export_dataset import export_dataset
    from vigie.errors import NotEnoughDataError, PermanentError
    from vigie.models.catalog import get_model
    from vigie.models.names import model_names

    if output and not model:
        raise PermanentError("--output needs --model: several tables do not go into one file")
    with services() as opened:
        folder = opened.paths.models
        names = [model] if model else model_names(folder)
        empty: list[NotEnoughDataError] = []
        for name in names:
            try:
                report = export_dataset(opened, model=get_model(folder, name), output=output)
                console.print(export_text(report), highlight=False)
            except NotEnoughDataError as exc:
                empty.append(exc)
    if len(empty) == len(names):
        raise NotEnoughDataError("; ".join(map(str, empty)) or f"there is no model in {folder}")


@app.command("dead-letters")
def dead_letters(
    limit: Annotated[int, typer.Option(min=0, help="How many to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, whole.")] = False,
) -> None:
    """List what could not be stored where it belongs, with the reason."""
    from vigie.dead_letters.list_dead_letters import list_dead_letters

    with services() as opened:
        report = list_dead_letters(opened, limit=limit)
    if as_json:
        console.print_json(data=report.as_xcom())
    else:
        console.print(letters_table(report))


@app.command()
def replay(
    limit: Annotated[int | None, typer.Option(min=1, help="Try at most so many.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be tried.")
    ] = False,
) -> None:
    """Try dead letters of the API log and of the stream again; those that pass leave the list."""
    from vigie.dead_letters.replay import replay_dead_letters

    with services() as opened:
        settings = opened.settings
        report = replay_dead_letters(
            opened,
            limit=limit,
            filter_pattern=settings.pipeline.filter_pattern,
            raw_index=settings.elasticsearch.index,
            dry_run=dry_run,
        )
    console.print(replay_text(report), highlight=False)


def _collect(opened: LazyServices, limit: int) -> IngestReport:
    from vigie.collection.ingest_logs import ingest_logs

    pipeline: Any = opened.settings.pipeline
    return ingest_logs(
        opened,
        limit=limit,
        filter_pattern=pipeline.filter_pattern,
        batch_size=pipeline.batch_size,
        raw_index=opened.settings.elasticsearch.index,
    )
