"""Format the results of log collection for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from vigie.collection.check_prerequisites import IndicesResult
    from vigie.collection.export_dataset import ExportResult
    from vigie.collection.ingest_logs import IngestResult
    from vigie.collection.maintain_indices import DeduplicationResult
    from vigie.dead_letters.replay import ReplayResult
    from vigie.dead_letters.write import DeadLettersResult


def ingest_table(result: IngestResult) -> Table:
    """Return a table with the number of lines per index and outcome."""
    more = {None: "there may be more", 0: "none remain"}.get(result.lag, f"{result.lag} remain")
    table = Table(title=f"{result.read} lines collected, {more}", title_justify="left")
    table.add_column("index")
    for name in ("read", "indexed", "already there", "filtered", "dead letters"):
        table.add_column(name, justify="right")
    for index, c in result.counts.items():
        counts = (c.read, c.indexed, c.already_there, c.filtered, c.dead_lettered)
        table.add_row(index, *map(str, counts))
    return table


def ingest_line(result: IngestResult) -> str:
    """Format the counts of one round in one line."""
    indexed = ", ".join(f"{index} +{c.indexed}" for index, c in result.counts.items())
    dead = max((c.dead_lettered for c in result.counts.values()), default=0)
    return f"{result.read} lines: {indexed}" + (f", {dead} dead letters" if dead else "")


def indices_table(result: IndicesResult) -> Table:
    """Return a table with the counts and mapping problems of each index."""
    table = Table("index", "documents", "fields", "mapping")
    for index in result.indices:
        state = escape("\n".join(index.problems)) if index.problems else "[green]as expected[/]"
        table.add_row(index.name, str(index.documents), str(index.n_fields), state)
    return table


def deduplication_text(result: DeduplicationResult) -> str:
    """Format the number of documents and removed duplicates per index."""
    return "\n\n".join(
        f"{name}\nDocuments before: {d.before}\nDuplicates removed: {d.removed}\n"
        f"Documents after: {d.after}"
        for name, d in result.indices.items()
    )


def export_text(result: ExportResult) -> str:
    """Format the counts of an export and the path and size of its file."""
    unusable = f" ({result.unusable} do not match the model file)" if result.unusable else ""
    return (
        f"Documents extracted: {result.documents}{unusable}\n"
        f"Rows in the Parquet file: {result.rows}\n"
        f"Columns: {result.columns}\n"
        f"File: {result.path} ({result.size_bytes / 1024:.1f} KB)\n"
        "Target: the predictions of the model, not labels"
    )


def replay_text(result: ReplayResult) -> str:
    """Format the outcome of a replay or of a dry run."""
    others = (
        f" ({result.others} truncated or from other sources, unchanged)" if result.others else ""
    )
    api_log, stream = (result.by_kind.get(kind, 0) for kind in ("api_log", "stream"))
    letters = f"{result.tried} dead letters ({api_log} of the API log, {stream} of the stream)"
    if result.dry_run:
        return (
            f"Would replay {letters}: {result.replayed} are readable now, {result.still_dead} are "
            f"not; nothing was changed{others}."
        )
    return (
        f"Replayed {letters}: {result.replayed} indexed, {result.still_dead} still refused{others}."
    )


def letters_table(result: DeadLettersResult) -> Table:
    """Return a table of the dead letters, oldest first; the title has the number per error type."""
    reasons = ", ".join(f"{n} {kind}" for kind, n in result.by_error.items())
    title = f"{result.total} dead letters" + (f": {reasons}" if reasons else "")
    table = Table(title=escape(title), title_justify="left")
    for name in ("when", "source", "offset", "for", "reason", "original"):
        table.add_column(name, overflow="fold")
    for letter in result.letters:
        table.add_row(
            str(letter["@timestamp"])[:19],
            escape(str(letter["source"])),
            str(letter["source_offset"]),
            escape(str(letter["target_index"])),
            escape(f"{letter['error_type']}: {letter['reason']}"),
            escape(letter["preview"]),
        )
    return table
