"""``vigie logs``: collect the API log in the log index and maintain its documents."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

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
    from vigie.collection.ingest_logs import IngestResult
    from vigie.wiring import LazyServices

app = typer.Typer(no_args_is_help=True)

Limit = Annotated[int, typer.Option(min=1, help="Maximum number of lines per round.")]
GradioUrl = Annotated[
    str | None, typer.Option(help="Address of the serving page (default: GRADIO_URL).")
]
Confirmed = Annotated[bool, typer.Option("--yes", help="Confirm the deletion.")]
ExpectCluster = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Expected cluster name; required if Elasticsearch is used."),
]
HfToken = Annotated[
    str | None,
    typer.Option(
        help="Token of a private Space (default: HF_TOKEN). The process list shows its value."
    ),
]


@app.command()
def once(limit: Limit = 100, gradio_url: GradioUrl = None, hf_token: HfToken = None) -> None:
    """Check the prerequisites and collect the new API log lines once."""
    from vigie.collection.check_prerequisites import check_prerequisites

    with services({"GRADIO_URL": gradio_url, "HF_TOKEN": hf_token}) as opened:
        result = check_prerequisites(opened, raw_index=opened.settings.elasticsearch.index)
        console.print(f"Collecting from {escape(result.source)}", highlight=False)
        console.print(ingest_table(_collect(opened, limit)))


@app.command()
def run(
    limit: Limit = 100,
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds between two rounds (default: PIPELINE_POLL_INTERVAL)."),
    ] = None,
    gradio_url: GradioUrl = None,
    hf_token: HfToken = None,
) -> None:
    """Collect new API log lines until Ctrl-C; retry while a service is unavailable."""
    from vigie.collection.follow_logs import Waiting, follow_logs

    with services({"GRADIO_URL": gradio_url, "HF_TOKEN": hf_token}) as opened:
        interval_s = interval or opened.settings.pipeline.poll_interval_s
        rounds = follow_logs(
            lambda: _collect(opened, limit), limit=limit, interval_s=interval_s, sleep=time.sleep
        )
        console.print(f"Collecting every {interval_s:g} s; press Ctrl-C to stop.", highlight=False)
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
    """Create missing log indices and compare each mapping with the expected mapping."""
    from vigie.collection.check_prerequisites import check_indices

    with services() as opened:
        result = check_indices(opened, raw_index=opened.settings.elasticsearch.index)
    console.print(indices_table(result))
    if not result.is_ok:
        raise typer.Exit(2)


@app.command()
def clear(yes: Confirmed = False, expect_cluster: ExpectCluster = None) -> None:
    """Delete the three log indices; the next collection reads every line again."""
    from vigie.collection.maintain_indices import clear_indices

    with services() as opened:
        index = opened.settings.elasticsearch.index
        result = clear_indices(
            opened, confirmed=yes, expect_cluster=expect_cluster, raw_index=index
        )
    for name, documents in result.deleted.items():
        console.print(f"{name}: {documents} documents deleted", highlight=False)


@app.command()
def expire(
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Retention in days (default: ELASTICSEARCH_RETENTION_DAYS)."),
    ] = None,
    yes: Confirmed = False,
    expect_cluster: ExpectCluster = None,
) -> None:
    """Delete all documents older than the retention period from the log indices."""
    from vigie.collection.index_specs import api_log_specs
    from vigie.collection.maintain_indices import expire_documents, require_confirmation
    from vigie.errors import SettingsError

    with services() as opened:
        settings = opened.settings.elasticsearch
        keep = days or settings.retention_days
        if keep is None:
            raise SettingsError(
                "no retention period is set; use --days or set ELASTICSEARCH_RETENTION_DAYS"
            )
        names = [spec.name for spec in api_log_specs(settings.index)]
        require_confirmation(
            opened.index,
            names,
            confirmed=yes,
            expect_cluster=expect_cluster,
            only=f"all documents older than {keep} days from ",
        )
        result = expire_documents(opened, indices=names, days=keep)
    for name, documents in result.deleted.items():
        console.print(
            f"{name}: {documents} documents from before {result.before:%Y-%m-%d %H:%M} UTC deleted",
            highlight=False,
        )


@app.command()
def deduplicate() -> None:
    """Delete all documents of each transaction except the newest document."""
    from vigie.collection.maintain_indices import deduplicate_indices

    with services() as opened:
        result = deduplicate_indices(opened)
    console.print(deduplication_text(result), highlight=False)


@app.command()
def export(
    model: Annotated[str | None, typer.Option(help="Name of the model (default: all).")] = None,
    output: Annotated[Path | None, typer.Option(help="Output file; requires --model.")] = None,
) -> None:
    """Export base and derived features to Parquet, with the prediction as target."""
    from vigie.collection.export_dataset import export_dataset
    from vigie.errors import NotEnoughDataError, PermanentError
    from vigie.models.catalog import get_model
    from vigie.models.names import model_names

    if output and not model:
        raise PermanentError(
            "--output requires --model, because a file contains the data of one model"
        )
    with services() as opened:
        folder = opened.paths.models
        names = [model] if model else model_names(folder)
        empty: list[NotEnoughDataError] = []
        for name in names:
            try:
                result = export_dataset(opened, model=get_model(folder, name), output=output)
                console.print(export_text(result), highlight=False)
            except NotEnoughDataError as exc:
                empty.append(exc)
    if len(empty) == len(names):
        raise NotEnoughDataError("; ".join(map(str, empty)) or f"no model file in {folder}")


@app.command("dead-letters")
def dead_letters(
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of dead letters to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """List the dead letters with their reasons."""
    from vigie.dead_letters.write import list_dead_letters

    with services() as opened:
        result = list_dead_letters(opened.index, limit=limit)
    if as_json:
        console.print_json(data=result.as_xcom())
    else:
        console.print(letters_table(result))


@app.command()
def replay(
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of dead letters to replay.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the readable dead letters; change nothing.")
    ] = False,
) -> None:
    """Process dead letters of the API log and of the stream again; delete each that succeeds."""
    from vigie.anomaly.scoring.replay_stream_letters import stream_replay
    from vigie.collection.index_lines import api_log_replay
    from vigie.dead_letters.letters import API_LOG, STREAM
    from vigie.dead_letters.replay import replay_dead_letters

    with services() as opened:
        settings = opened.settings
        handlers = {
            API_LOG: api_log_replay(
                opened,
                filter_pattern=settings.pipeline.filter_pattern,
                raw_index=settings.elasticsearch.index,
            ),
            STREAM: stream_replay(opened),
        }
        result = replay_dead_letters(opened.index, handlers, limit=limit, dry_run=dry_run)
    console.print(replay_text(result), highlight=False)


def _collect(opened: LazyServices, limit: int) -> IngestResult:
    from vigie.collection.ingest_logs import ingest_logs

    pipeline: Any = opened.settings.pipeline
    return ingest_logs(
        opened,
        limit=limit,
        filter_pattern=pipeline.filter_pattern,
        batch_size=pipeline.batch_size,
        raw_index=opened.settings.elasticsearch.index,
    )
