"""Text and tables that ``vigie stream`` and ``vigie anomaly`` print."""

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


def ingest_line(report: IngestResult) -> str:
    """Return a line with the number of lines written."""
    cut = f", {report.truncated} of them truncated" if report.truncated else ""
    bad = f" {report.unreadable} files could not be read." if report.unreadable else ""
    return (
        f"{report.lines} new lines of {report.files} files written to {escape(report.topic)}{cut}; "
        f"{report.blank} blank lines skipped.{bad}"
    )


def score_table(report: ScoreResult) -> Table:
    """Return a table of the lines by outcome."""
    table = Table(title=f"{report.index}, scored by {report.detector} v{report.model_version}")
    table.add_column("lines")
    table.add_column("number", justify="right")
    table.add_row("read", str(report.read))
    table.add_row("indexed", str(report.indexed))
    table.add_row("already there", str(report.already_there))
    table.add_row("dead letters", str(report.dead_lettered), end_section=True)
    table.add_row("anomalies", str(report.anomalies))
    table.add_row("during the warm-up of the threshold", str(report.warming_up))
    table.add_row("without a score", str(report.unscored))
    if report.lost:
        table.add_row("deleted by retention before they were read", str(report.lost))
    return table


def lost_line(lost: int) -> str:
    """Return a line with the number of lines that were lost."""
    return f"Skipped {lost} lines that retention deleted before they were read."


def incidents_line(report: IncidentsResult) -> str:
    """Return a line with the number of incidents written."""
    return f"{report.written} incidents created or extended."


def evaluation_table(report: EvaluationResult) -> Table:
    """Return a table of the metrics of each detector on held-out lines."""
    table = Table(title="Held-out lines against synthetic corruptions of them (no real labels)")
    for column in ("detector", "area under the curve", "false alarms", "corruptions detected"):
        table.add_column(column, justify="left" if column == "detector" else "right")
    for name, auc in report.auc.items():
        table.add_row(
            name,
            f"{auc:.4f}",
            f"{report.false_alarm_rate[name]:.2%}",
            f"{report.detection_rate[name]:.2%}",
        )
    return table


def register_lines(report: RegisterResult) -> list[str]:
    """Return the lines that report which detectors were promoted, with reasons."""
    promoted = [f"{name} v{version} scores now." for name, version in report.promoted.items()]
    refused = [f"{name} was not promoted: {reason}." for name, reason in report.refused.items()]
    return promoted + refused


def explanation_table(found: Explanation) -> Table:
    """Return a table of the tokens of a line with the highest loss."""
    verdict = "no score" if found.score is None else f"score {found.score:.4f}"
    above = {True: ", above the threshold", False: ", below the threshold", None: ""}
    table = Table(title=escape(found.line[:200]), caption=verdict + above[found.is_above_threshold])
    table.add_column("token")
    table.add_column("loss", justify="right")
    for item in found.tokens[:TOKENS_SHOWN]:
        table.add_row(escape(item.token[:80]), f"{item.loss:.3f}")
    return table
