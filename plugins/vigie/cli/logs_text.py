"""How the reports of log collection look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from vigie.collection.check_indices import IndicesReport
    from vigie.collection.deduplicate_indices import DeduplicationReport
    from vigie.collection.export_dataset import ExportReport
    from vigie.collection.ingest_logs import IngestReport
    from vigie.dead_letters.list_dead_letters import DeadLettersReport
    from vigie.dead_letters.replay import ReplayReport


def ingest_table(report: IngestReport) -> Table:
    """Return what became of every line, per index."""
    more = {None: "there may be more", 0: "nothing is left"}.get(
        report.lag, f"{report.lag} are left"
    )
    table = Table(title=f"{report.read} lines collected, {more}", title_justify="left")
    table.add_column("index")
    for name in ("read", "indexed", "already there", "filtered", "dead letters"):
        table.add_column(name, justify="right")
    for index, c in report.counts.items():
        counts = (c.read, c.indexed, c.already_there, c.filtered, c.dead_lettered)
        table.add_row(index, *map(str, counts))
    return table


def ingest_line(report: IngestReport) -> str:
    """Return a round in one line."""
    indexed = ", ".join(f"{index} +{c.indexed}" for index, c in report.counts.items())
    dead = max((c.dead_lettered for c in report.counts.values()), default=0)
    return f"{report.read} lines: {indexed}" + (f", {dead} dead letters" if dead else "")


def indices_table(report: IndicesReport) -> Table:
    """Return each index with what is wrong with it."""
    table = Table("index", "documents", "fields", "mapping")
    for index in report.indices:
        state = escape("\n".join(index.problems)) if index.problems else "[green]as it should be[/]"
        table.add_row(index.name, str(index.documents), str(index.n_fields), state)
    return table


def deduplication_text(report: DeduplicationReport) -> str:
    """Return the source document's three lines, for each index."""
    return "\n\n".join(
        f"{name}\nDocuments before: {d.before}\nDuplicates removed: {d.removed}\n"
        f"Documents after: {d.after}"
        for name, d in report.indices.items()
    )


def export_text(report: ExportReport) -> str:
    """Return the source document's four lines, and where the target came from."""
    unusable = f" ({report.unusable} do not fit the model file)" if report.unusable else ""
    return (
        f"Documents extracted: {report.documents}{unusable}\n"
        f"Rows in the Parquet file: {report.rows}\n"
        f"Columns: {report.columns}\n"
        f"File: {report.path} ({report.size_bytes / 1024:.1f} KB)\n"
        "Target: the model's own predictions, not what really happened"
    )


def replay_text(report: ReplayReport) -> str:
    """Say what became of dead letters, or what would be tried."""
    others = f" ({report.others} of other sources, or cut, left alone)" if report.others else ""
    if report.dry_run:
        return (
            f"Would try {report.tried} ({report.api_log} of the API log, {report.stream} of the "
            f"stream): {report.replayed} can be read now, {report.still_dead} cannot; "
            f"nothing was changed{others}."
        )
    return (
        f"Tried {report.tried} ({report.api_log} of the API log, {report.stream} of the stream): "
        f"{report.replayed} indexed, {report.still_dead} still refused{others}."
    )


def letters_table(report: DeadLettersReport) -> Table:
    """Return the dead letters, oldest first, counted by reason in the title."""
    reasons = ", ".join(f"{n} {kind}" for kind, n in report.by_error.items())
    title = f"{report.total} dead letters" + (f": {reasons}" if reasons else "")
    table = Table(title=escape(title), title_justify="left")
    for name in ("when", "source", "offset", "for", "reason", "original"):
        table.add_column(name, overflow="fold")
    for letter in report.letters:
        table.add_row(
            str(letter["@timestamp"])[:19],
            escape(str(letter["source"])),
            str(letter["source_offset"]),
            escape(str(letter["target_index"])),
            escape(f"{letter['error_type']}: {letter['reason']}"),
            escape(letter["preview"]),
        )
    return table
