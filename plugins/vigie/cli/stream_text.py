"""What ``vigie stream`` and ``vigie anomaly`` print."""

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
    """Say how many lines were written."""
    cut = f", {report.truncated} of them shortened" if report.truncated else ""
    bad = f" {report.unreadable} files could not be read." if report.unreadable else ""
    return (
        f"{report.lines} new lines of {report.files} files written to {escape(report.topic)}{cut}; "
        f"{report.blank} blank ones left out.{bad}"
    )


def score_table(report: ScoreResult) -> Table:
    """Account for every line read."""
    table = Table(title=f"{report.index}, scored by {report.detector} v{report.model_version}")
    table.add_column("lines")
    table.add_column("number", justify="right")
    table.add_row("read", str(report.read))
    table.add_row("indexed", str(report.indexed))
    table.add_row("already there", str(report.already_there))
    table.add_row("dead letters", str(report.dead_lettered), end_section=True)
    table.add_row("anomalies", str(report.anomalies))
    table.add_row("while the threshold warmed up", str(report.warming_up))
    table.add_row("without a score", str(report.unscored))
    if report.lost:
        table.add_row("lost before they were read", str(report.lost))
    return table


def lost_line(lost: int) -> str:
    """Say how many lines a group did not get to read."""
    return f"{lost} lines were lost before they were read; going on behind them."


def incidents_line(report: IncidentsResult) -> str:
    """Say how many incidents changed."""
    return f"{report.written} incidents new or fuller."


def evaluation_table(report: EvaluationResult) -> Table:
    """Show each detector's figures on held-out lines."""
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
    """Say what was promoted and what was not, with the reason."""
    promoted = [f"{name} v{version} scores now." for name, version in report.promoted.items()]
    refused = [f"{name} was not promoted: {reason}." for name, reason in report.refused.items()]
    return promoted + refused


def explanation_table(found: Explanation) -> Table:
    """Show a line's template and its most surprising tokens."""
    verdict = "no score" if found.score is None else f"score {found.score:.4f}"
    above = {True: ", above the threshold", False: ", below the threshold", None: ""}
    table = Table(title=escape(found.line[:200]), caption=verdict + above[found.is_above_threshold])
    table.add_column("token")
    table.add_column("loss", justify="right")
    for item in found.tokens[:TOKENS_SHOWN]:
        table.add_row(escape(item.token[:80]), f"{item.loss:.3f}")
    return table
