"""Reports for people: our numbers, and Evidently's figures below where it can draw them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie.adapters.reporting.classification import ClassificationFacts
from vigie.adapters.reporting.evidently_draw import (
    Drawing,
    decided,
    draw,
    draw_classification,
    drift_preset,
    summary_preset,
)
from vigie.adapters.reporting.frames import Frames, duplicates, prepare, sampled, summaries
from vigie.adapters.reporting.pages import Page, Table
from vigie.drift.decision import MIN_EFFECT, detect_drift
from vigie.drift.reference_profile import build_profile
from vigie.encoding import dumps, write_atomic
from vigie.errors import NotEnoughDataError

if TYPE_CHECKING:
    from vigie.drift.verdict import DriftVerdict
    from vigie.models.model_file import ModelFile

HEADINGS = {"yes": "Drift", "no": "No drift", "unknown": "Unknown"}


class EvidentlyRenderer:
    """Satisfies :class:`vigie.roles.ReportRenderer`.

    The page and the JSON beside it are written even when Evidently refuses a column or the whole
    table: what was left out, and why, stands on both.
    """

    def quality(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame, html: Path
    ) -> Path:
        _need_rows(current, reference)
        frames = prepare(model, current, reference)
        drawing = draw(frames, summary_preset)
        summary = summaries(frames)
        table = Table(
            "Columns",
            ("column", "missing now", "missing before", "mean now", "mean before"),
            [
                (name, *(s[k] for k in ("missing", "missing_before", "mean", "mean_before")))
                for name, s in summary.items()
            ],
        )
        repeated = duplicates(frames.current)
        page = _page("Data quality", model, current, reference, frames, drawing, (table,))
        if repeated:
            note = f"{repeated:,} of {len(frames.current):,} current rows repeat an earlier one"
            page = replace(page, notes=(*page.notes, note))
        facts = {"columns": summary, "duplicated_rows": repeated}
        return _write(html, page, drawing, _facts("data_quality", model, current, reference, facts))

    def drift(
        self,
        model: ModelFile,
        current: pd.DataFrame,
        reference: pd.DataFrame,
        html: Path,
        verdict: DriftVerdict | None = None,
    ) -> Path:
        """Draw the drift of each column; ``verdict`` None: decided here, against ``reference``."""
        _need_rows(current, reference)
        frames = prepare(model, current, reference)
        if verdict is None:
            share = model.retrain.drift_share
            verdict = detect_drift(_profile(model, reference), current, share)
        reasons = {c.name: c.reason for c in verdict.columns if c.is_drifted is None}
        known = {c.name: c for c in verdict.columns if c.is_drifted is not None}
        unknown = {n: reasons.get(n, "not in the profile") for n in frames.names if n not in known}
        frames = frames.without(unknown)
        with decided({n: (c.effect or 0.0, bool(c.is_drifted)) for n, c in known.items()}):
            drawing = draw(frames, partial(drift_preset, verdict.drift_share, MIN_EFFECT))
        page = _drift_page(model, current, reference, frames, drawing, verdict)
        facts = {"verdict": verdict.as_dict()}
        return _write(html, page, drawing, _facts("data_drift", model, current, reference, facts))

    def performance(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame | None, html: Path
    ) -> Path:
        """Both tables carry ``target``, ``prediction`` (labels) and ``probability``."""
        now = ClassificationFacts.of(current, model.labels)
        before = None
        if reference is not None and len(reference):
            before = ClassificationFacts.of(reference, model.labels)
        if not now.n_rows:
            raise NotEnoughDataError("no row carries a real label", found=0, needed=1)
        rows = sampled({"current": now.rows} | ({"reference": before.rows} if before else {}))
        drawing = draw_classification(*rows.frames.values(), positive_label=model.positive_label)
        tables = now.tables() + (() if before is None else before.tables("Reference: "))
        refused = (f"no figures: {drawing.refusal}",) if drawing.refusal else ()
        page = Page(
            title=f"Model performance: {model.title}",
            subtitle=f"{now.n_rows:,} answers with a real label",
            notes=(*now.notes, *rows.notes, *refused),
            tables=tables,
        )
        facts = {"current": now.as_dict(), "reference": before and before.as_dict()}
        return _write(
            html, page, drawing, _facts("model_performance", model, current, reference, facts)
        )


def _need_rows(current: pd.DataFrame, reference: pd.DataFrame) -> None:
    for side, frame in (("current", current), ("reference", reference)):
        if not len(frame):
            raise NotEnoughDataError(f"there are no {side} rows to report on", found=0, needed=1)


def _profile(model: ModelFile, reference: pd.DataFrame) -> dict[str, Any]:
    return build_profile(reference, [f for f in model.features if f.name in reference.columns])


def _drift_page(
    model: ModelFile,
    current: pd.DataFrame,
    reference: pd.DataFrame,
    frames: Frames,
    drawing: Drawing,
    verdict: DriftVerdict,
) -> Page:
    table = Table(
        "Decision by column (from all rows)",
        ("column", "drifted", "effect", "p after Holm", "why"),
        [(c.name, c.is_drifted, c.effect, c.p_adjusted, c.reason) for c in verdict.columns],
        is_wide=True,
    )
    page = _page("Data drift", model, current, reference, frames, drawing, (table,))
    shown = f"Evidently's figures below show {len(frames.names)} of {len(verdict.columns)} columns"
    notes = page.notes if drawing.refusal or not page.left_out else (*page.notes, shown)
    reasons = "; ".join(verdict.reasons)
    return replace(
        page, verdict=f"{HEADINGS[verdict.word]}: {reasons}", word=verdict.word, notes=notes
    )


def _page(
    title: str,
    model: ModelFile,
    current: pd.DataFrame,
    reference: pd.DataFrame,
    frames: Frames,
    drawing: Drawing,
    tables: tuple[Table, ...],
) -> Page:
    refused = (f"no figures: {drawing.refusal}",) if drawing.refusal else ()
    return Page(
        title=f"{title}: {model.title}",
        subtitle=f"{len(current):,} current rows against {len(reference):,} reference rows",
        notes=(*frames.notes, *refused),
        left_out={**frames.left_out, **drawing.left_out},
        tables=tables,
    )


def _facts(
    report: str,
    model: ModelFile,
    current: pd.DataFrame,
    reference: pd.DataFrame | None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    return {
        "report": report,
        "model": model.name,
        "n_current": len(current),
        "n_reference": None if reference is None else len(reference),
        **facts,
    }


def _write(html: Path, page: Page, drawing: Drawing, facts: dict[str, Any]) -> Path:
    """Write the JSON, then the page: a page that is there has its JSON."""
    body = facts | {
        "notes": list(page.notes),
        "left_out": dict(page.left_out),
        "evidently": drawing.metrics,
    }
    write_atomic(html.with_suffix(".json"), dumps(body))
    return write_atomic(html, page.html(drawing.html))
