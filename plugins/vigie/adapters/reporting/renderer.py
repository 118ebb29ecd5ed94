"""Write reports: a summary, and Evidently's charts below it if Evidently can draw them.

:data:`KINDS` has one function per kind of report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.adapters.reporting.classification import Classification
from vigie.adapters.reporting.evidently_draw import (
    Drawing,
    draw,
    draw_classification,
    drift_preset,
    shown_verdicts,
    summary_preset,
)
from vigie.adapters.reporting.frames import (
    MAX_ROWS,
    Frames,
    duplicates,
    prepare,
    sampled,
    summaries,
)
from vigie.adapters.reporting.pages import Page, Table
from vigie.drift.decision import MIN_EFFECT
from vigie.encoding import dumps, write_atomic
from vigie.errors import DataError, NotEnoughDataError

if TYPE_CHECKING:
    import pandas as pd

    from vigie.roles.sources import ReportData

DRIFT_HEADINGS = {"yes": "Drift", "no": "No drift"}
PERFORMANCE_HEADINGS = {
    "yes": "Performance is degraded",
    "no": "Performance is not degraded",
    "skipped": "Not decided",
}


@dataclass(frozen=True, slots=True)
class Content:
    """The page of a report, Evidently's drawing, and the numbers for the JSON file."""

    page: Page
    drawing: Drawing
    numbers: dict[str, Any]


class EvidentlyRenderer:
    """Implement :class:`vigie.roles.ReportRenderer`.

    The HTML and the JSON file are written even if Evidently refuses a column or the whole table.
    Both files list the omitted columns with reasons.
    """

    def write(self, kind: str, data: ReportData, html: Path) -> Path:
        if kind not in KINDS:
            raise DataError(f"no report kind {kind!r}; expected one of {', '.join(KINDS)}")
        _require_rows(data)
        content = KINDS[kind](data)
        body = {
            "report": kind,
            "model": data.model.name,
            "n_current": len(data.current),
            "n_reference": None if data.reference is None else len(data.reference),
            **content.numbers,
            "notes": list(content.page.notes),
            "left_out": dict(content.page.left_out),
            "evidently": content.drawing.metrics,
        }
        # The JSON file is written first, so that no page exists without a JSON file.
        write_atomic(html.with_suffix(".json"), dumps(body))
        return write_atomic(html, content.page.html(content.drawing.html))


def _require_rows(data: ReportData) -> None:
    for side, frame in (("current", data.current), ("reference", data.reference)):
        if frame is not None and not len(frame):
            raise NotEnoughDataError(f"there are no {side} rows to report on", found=0, needed=1)


def draw_quality(data: ReportData) -> Content:
    """Return the quality report: missing values, means and distributions of each column."""
    frames = prepare(data.model, data.current, _reference(data))
    drawing = draw(frames, summary_preset)
    summary = summaries(frames)
    keys = ("missing", "missing_before", "mean", "mean_before")
    table = Table(
        "Columns of the sample" if frames.notes else "Columns",
        ("column", "missing, current", "missing, reference", "mean, current", "mean, reference"),
        [(name, *(column[key] for key in keys)) for name, column in summary.items()],
    )
    repeated = duplicates(frames.current)
    rows = "sampled current rows" if len(data.current) > MAX_ROWS else "current rows"
    note = f"{repeated:,} of {len(frames.current):,} {rows} repeat an earlier row"
    page = _page("Data quality", data, frames, drawing, table, (note,) if repeated else ())
    return Content(page, drawing, {"columns": summary, "duplicated_rows": repeated})


def draw_drift(data: ReportData) -> Content:
    """Return the drift report: the verdict on the table and on each column."""
    if data.drift is None:
        raise DataError("cannot create the drift report: the drift verdict is missing")
    verdicts = data.drift.columns
    reasons = {c.name: c.reason for c in verdicts if c.is_drifted is None}
    known = {c.name: c for c in verdicts if c.is_drifted is not None}
    frames = prepare(data.model, data.current, _reference(data))
    frames = frames.without(
        {n: reasons.get(n, "not in the profile") for n in frames.names if n not in known}
    )
    with shown_verdicts({n: (c.effect or 0.0, bool(c.is_drifted)) for n, c in known.items()}):
        drawing = draw(frames, partial(drift_preset, data.drift.drift_share, MIN_EFFECT))
    table = Table(
        "Verdict for each column (from all rows)",
        ("column", "drifted", "effect", "p after Holm", "reason"),
        [(c.name, c.is_drifted, c.effect, c.p_adjusted, c.reason) for c in verdicts],
        is_wide=True,
    )
    is_partial = not drawing.refusal and (frames.left_out or drawing.left_out)
    n_shown = len(frames.names) - len(drawing.left_out)
    note = f"Evidently's charts below show {n_shown} of {len(verdicts)} columns"
    page = _page("Data drift", data, frames, drawing, table, (note,) if is_partial else ())
    return Content(page, drawing, {"verdict": data.drift.as_dict()})


def draw_performance(data: ReportData) -> Content:
    """Return the performance report: confusion matrix and metrics of labelled predictions."""
    labels, reference = data.model.labels, data.reference
    current = Classification.of(data.current, labels)
    before = None if reference is None else Classification.of(reference, labels)
    if not current.n_rows:
        message = "no current row has a usable label, prediction and probability"
        raise NotEnoughDataError(message, found=0, needed=1)
    rows = {"current": current.rows} | ({"reference": before.rows} if before else {})
    tables, notes = sampled(rows)
    drawing = draw_classification(*tables.values(), positive_label=data.model.positive_label)
    page = Page(
        title=f"Model performance: {data.model.title}",
        subtitle=f"{current.n_rows:,} labelled predictions",
        verdict=_verdict(PERFORMANCE_HEADINGS, data),
        word=data.verdict,
        notes=(*current.notes, *notes, *_refusal(drawing)),
        tables=current.tables() + (() if before is None else before.tables("Reference: ")),
    )
    numbers = {"current": current.as_dict(), "reference": before and before.as_dict()}
    return Content(page, drawing, numbers)


KINDS: dict[str, Callable[[ReportData], Content]] = {
    "data_quality": draw_quality,
    "data_drift": draw_drift,
    "model_performance": draw_performance,
}


def _reference(data: ReportData) -> pd.DataFrame:
    if data.reference is None:
        raise DataError("this report needs reference rows")
    return data.reference


def _page(
    title: str,
    data: ReportData,
    frames: Frames,
    drawing: Drawing,
    table: Table,
    notes: tuple[str, ...],
) -> Page:
    return Page(
        title=f"{title}: {data.model.title}",
        subtitle=f"{len(data.current):,} current rows, {len(_reference(data)):,} reference rows",
        verdict=_verdict(DRIFT_HEADINGS, data),
        word=data.verdict,
        notes=(*frames.notes, *_refusal(drawing), *notes),
        left_out={**frames.left_out, **drawing.left_out},
        tables=(table,),
    )


def _refusal(drawing: Drawing) -> tuple[str, ...]:
    return (f"no charts: {drawing.refusal}",) if drawing.refusal else ()


def _verdict(headings: dict[str, str], data: ReportData) -> str:
    if not data.verdict:
        return ""
    return f"{headings.get(data.verdict, 'Unknown')}: {'; '.join(data.reasons)}"
