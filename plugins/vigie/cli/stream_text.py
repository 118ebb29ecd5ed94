"""Format the results of ``vigie stream`` and ``vigie anomaly`` for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from vigie.anomaly.ingest.ingest_log_files import IngestResult
    from vigie.anomaly.scoring.champion_detector import Explanation
    from vigie.anomaly.scoring.group_incidents import IncidentsResult
    from vigie.anomaly.scoring.result import ScoreResult
    from vigie.anomaly.training.evaluate_detectors import EvaluationResult
    from vigie.anomaly.training.register_detectors import RegisterResult

TOKENS_SHOWN = 5


def ingest_line(result: IngestResult) -> str:
    """Format the numbers of written, truncated and blank lines and of unreadable files."""
    cut = f", {result.truncated} of them truncated" if result.truncated else ""
    bad = f" {result.unreadable} files could not be read." if result.unreadable else ""
    return (
        f"{result.lines} new lines of {result.files} files written to {escape(result.topic)}{cut}; "
        f"{result.blank} blank lines skipped.{bad}"
    )


def score_table(result: ScoreResult) -> Table:
    """Return a table with the number of lines per outcome."""
    table = Table(title=f"{result.index}, scored by {result.detector} v{result.model_version}")
    table.add_column("lines")
    table.add_column("number", justify="right")
    table.add_row("read", str(result.read))
    table.add_row("indexed", str(result.indexed))
    table.add_row("already there", str(result.already_there))
    table.add_row("dead letters", str(result.dead_lettered), end_section=True)
    table.add_row("anomalies", str(result.anomalies))
    table.add_row("during the warm-up of the threshold", str(result.warming_up))
    table.add_row("without a score", str(result.unscored))
    if result.lost:
        table.add_row("deleted by retention before they were read", str(result.lost))
    return table


def incidents_line(result: IncidentsResult) -> str:
    """Format the number of incidents created or extended."""
    return f"{result.written} incidents created or extended."


def evaluation_table(result: EvaluationResult) -> Table:
    """Return a table with each detector's metrics on held-out lines and anomalies."""
    table = Table(title="Held-out lines and synthetic anomalies made from them (no real labels)")
    for column in ("detector", "area under the curve", "false alarms", "anomalies detected"):
        table.add_column(column, justify="left" if column == "detector" else "right")
    for name, auc in result.auc.items():
        table.add_row(
            name,
            f"{auc:.4f}",
            f"{result.false_alarm_rate[name]:.2%}",
            f"{result.detection_rate[name]:.2%}",
        )
    return table


def register_lines(result: RegisterResult) -> list[str]:
    """Return a line per detector: its new version, or the reason why it was not promoted."""
    promoted = [f"{name} v{version} is champion." for name, version in result.promoted.items()]
    refused = [f"{name} was not promoted: {reason}." for name, reason in result.refused.items()]
    return promoted + refused


def explanation_table(found: Explanation) -> Table:
    """Return a table of the tokens with the highest loss in a log line."""
    verdict = "no score" if found.score is None else f"score {found.score:.4f}"
    above = {True: ", above the threshold", False: ", below the threshold", None: ""}
    table = Table(title=escape(found.line[:200]), caption=verdict + above[found.is_above_threshold])
    table.add_column("token")
    table.add_column("loss", justify="right")
    for item in found.tokens[:TOKENS_SHOWN]:
        table.add_row(escape(item.token[:80]), f"{item.loss:.3f}")
    return table
