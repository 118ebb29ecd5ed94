"""The page's HTML fragments: pure functions, everything that comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vigie.records import Prediction
    from vigie.serving.champion import Served
    from vigie.serving.predict import PredictReport
    from vigie.serving.record_feedback import FeedbackReport

WAITING = (
    '<div class="card empty" role="status">The answer appears here after <b>Run Analysis</b>.</div>'
)


def header() -> str:
    """Return the top of the page."""
    return (
        '<header class="masthead"><div><h1>vigie</h1>'
        "<p>Every answer comes from a verified champion and is logged before you see it.</p></div>"
        '<nav aria-label="Service"><a href="/docs">API</a><a href="/model">Model</a>'
        '<a href="/ready">Readiness</a><a href="/metrics">Metrics</a></nav></header>'
    )


def chip(served: Served | None, name: str) -> str:
    """Return the line under the model chooser: which version answers, since when."""
    if served is None:
        command = f"vigie retrain --model {name}"
        return f'<p class="chip off">No version answers yet. Run <code>{escape(command)}</code></p>'
    since = f"{served.deployed_at:%Y-%m-%d %H:%M} UTC"
    return (
        f'<p class="chip"><b>v{served.version}</b> answers since {since} · threshold '
        f"{served.servable.threshold:.3g} · bundle <code>{escape(served.sha256[:12])}</code></p>"
    )


def example_note(label: str) -> str:
    """Say where the form's values come from."""
    return (
        '<p class="caption">A real case that was kept apart from the first training; '
        f"it turned out <b>{escape(label)}</b>.</p>"
    )


def result_card(report: PredictReport, threshold: float, positive: str) -> str:
    """Return the answer: label, probability against the threshold, version, transaction."""
    found = report.prediction
    percent = 100 * found.probability
    tone = "positive" if report.label else "negative"
    return (
        f'<section class="card {tone}" role="status" aria-live="polite">'
        f'<p class="verdict">{escape(found.prediction)}</p><p>{escape(found.message)}</p>'
        f'<p class="caption">Probability of {escape(positive)} <b>{percent:.1f} %</b></p>'
        f'<div class="meter" role="meter" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent:.1f}" aria-label="Probability of {escape(positive)}">'
        f'<span class="fill" style="width:{percent:.2f}%"></span>'
        f'<span class="mark" style="left:{100 * threshold:.2f}%" '
        f'title="decision threshold {threshold:.3g}"></span></div>'
        f"<dl><dt>Model</dt><dd>{escape(found.model)} <b>v{found.model_version}</b></dd>"
        f"<dt>Time</dt><dd>{found.latency_ms:.1f} ms</dd>"
        f"<dt>Transaction</dt><dd><code>{escape(found.transaction_id)}</code></dd></dl></section>"
    )


def error_card(message: str, fields: Mapping[str, str] | None = None) -> str:
    """Return what went wrong, by field when it is the input."""
    if not fields:
        return f'<section class="card error" role="alert"><b>{escape(message)}</b></section>'
    items = "".join(
        f"<li><b>{escape(name)}</b> {escape(text)}</li>" for name, text in fields.items()
    )
    return (
        '<section class="card error" role="alert"><b>Some values cannot be used</b>'
        f"<ul>{items}</ul></section>"
    )


def receipt_card(report: FeedbackReport) -> str:
    """Return what became of a label."""
    told = {
        "recorded": "Thank you: recorded.",
        "already_there": "This label was recorded before.",
        "corrected": "Corrected: the earlier label is kept, the new one counts.",
    }[report.outcome.value]
    labels = " → ".join(escape(label.actual) for label in report.history)
    return f'<p class="receipt" role="status">{told} <span>{labels}</span></p>'


def history_table(rows: Iterable[tuple[Prediction, str | None]]) -> str:
    """Return the latest predictions, newest first, with what really happened."""
    body = "".join(
        f'<tr><td><time datetime="{p.created_at.isoformat()}">{p.created_at:%H:%M:%S}</time></td>'
        f"<td>{escape(p.model)} v{p.model_version}</td><td>{escape(p.prediction)}</td>"
        f'<td class="number">{100 * p.probability:.1f} %</td>'
        f"<td>{escape(actual) if actual else '–'}</td>"
        f"<td><code>{escape(p.transaction_id[:8])}</code></td></tr>"
        for p, actual in rows
    )
    if not body:
        return '<p class="caption">No prediction yet.</p>'
    heads = ("Time (UTC)", "Model", "Prediction", "Probability", "Actual", "Transaction")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="history"><table><caption class="hidden">Recent predictions</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
