"""The API log of the fake predictions, and a renderer that draws one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vigie.encoding import dumps, write_atomic
from vigie.errors import NotEnoughDataError
from vigie.records import LogBatch
from vigie.roles.stores import PredictionStore

if TYPE_CHECKING:
    import pandas as pd

    from vigie.drift.verdict import DriftVerdict
    from vigie.models.model_file import ModelFile


class FakeApiLogs:
    """Implement :class:`vigie.roles.ApiLogSource` with the lines that serving would write."""

    def __init__(self, predictions: PredictionStore) -> None:
        self.predictions = predictions

    def check(self) -> str:
        return "in memory"

    def read(self, offset: int, limit: int) -> LogBatch:
        from vigie.api_log.line import render

        events = self.predictions.page(offset, limit)
        lines = tuple(render(event.prediction) for event in events)
        return LogBatch(offset, lines, offset + len(lines), self.predictions.count())


class FakeRenderer:
    """Satisfies :class:`vigie.roles.ReportRenderer`: a small page and the JSON beside it."""

    def __init__(self) -> None:
        self.written: list[Path] = []

    def quality(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame, html: Path
    ) -> Path:
        return self._write("quality", model, html, len(current))

    def drift(
        self,
        model: ModelFile,
        current: pd.DataFrame,
        reference: pd.DataFrame,
        html: Path,
        verdict: DriftVerdict | None = None,
    ) -> Path:
        return self._write("drift", model, html, len(current))

    def performance(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame | None, html: Path
    ) -> Path:
        return self._write("performance", model, html, len(current))

    def _write(self, kind: str, model: ModelFile, html: Path, n_rows: int) -> Path:
        if not n_rows:
            raise NotEnoughDataError("there are no current rows to report on", found=0, needed=1)
        facts = {"report": kind, "model": model.name, "n_rows": n_rows}
        write_atomic(html.with_suffix(".json"), dumps(facts))
        write_atomic(
            html, f"<!doctype html><title>{kind}</title><p>{model.name}: {n_rows} rows</p>"
        )
        self.written.append(html)
        return html
