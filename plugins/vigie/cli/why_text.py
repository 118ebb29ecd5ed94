"""Format the results of ``vigie why`` for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from vigie.cli.support import console

if TYPE_CHECKING:
    from vigie.records import Decision, Deployment
    from vigie.registry.explain_decisions import ExplainResult

COLOURS = {"yes": "green", "no": "yellow", "unknown": "magenta"}


def print_explanation(explanation: ExplainResult) -> None:
    """Print the champion, the deployments and the decisions of a model."""
    champion, model = explanation.champion, explanation.model
    when = f" at {explanation.at:%Y-%m-%d %H:%M} UTC" if explanation.at else ""
    if champion is None:
        verb, hint = ("had", "") if when else ("has", f" Train one: vigie retrain --model {model}")
        console.print(f"[bold]{model}[/] {verb} no champion{when}.{hint}")
    else:
        verb = "was" if when else "is"
        console.print(f"[bold]{model} v{champion.version}[/] {verb} champion{when}.")
        console.print(_deployments(explanation.deployments))
    for decision in explanation.decisions:
        _print_decision(decision)
    if not explanation.decisions:
        console.print("No decisions.")


def _deployments(rows: tuple[Deployment, ...]) -> Table:
    table = Table(
        "#", "version", "since (UTC)", "by", "why", title="Deployments", title_justify="left"
    )
    for row in rows:
        since = f"{row.deployed_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(row.number), f"v{row.version}", since, row.actor, escape(row.reason))
    return table


def _print_decision(decision: Decision) -> None:
    colour = COLOURS.get(decision.verdict, "cyan")
    at = f"{decision.at:%Y-%m-%d %H:%M:%S}" if decision.at else ""
    run = f" · run {decision.run_id}" if decision.run_id else ""
    console.print(
        f"\n[bold]{decision.kind}[/]: [{colour}]{decision.verdict}[/]"
        f"  [dim]{at} · {escape(decision.actor)}{escape(run)}[/]",
        highlight=False,
    )
    for reason in decision.reasons:
        console.print(f"  · {escape(reason)}", highlight=False)
    for line in evidence_lines(decision.evidence):
        console.print(f"    [dim]{escape(line)}[/]", highlight=False)


def evidence_lines(evidence: Mapping[str, Any], width: int = 160) -> list[str]:
    """Format evidence as lines ``name: value``, cut at ``width``; empty values are omitted.

    Examples
    --------
    >>> evidence_lines({"version": 3, "scores": {"a": 0.51234, "b": None}, "none": []})
    ['version: 3', 'scores: a=0.5123, b=unknown']
    """
    lines = [
        f"{name}: {_shown(value)}" for name, value in evidence.items() if value not in ([], {}, "")
    ]
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_shown(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else str(value)
