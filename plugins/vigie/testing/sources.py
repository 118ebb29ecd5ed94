"""Fakes of the API log and of the report renderer."""

from __future__ import annotations

from pathlib import Path

from vigie.encoding import dumps, write_atomic
from vigie.errors import NotEnoughDataError
from vigie.records import LogBatch
from vigie.roles.sources import ReportData
from vigie.roles.stores import PredictionStore


class FakeApiLogs:
    """Implement :class:`vigie.roles.ApiLogSource` with one line per stored prediction."""

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
    """Implement :class:`vigie.roles.ReportRenderer` with small files.

    ``written`` maps the path of each HTML file to its data.
    """

    def __init__(self) -> None:
        self.written: dict[Path, ReportData] = {}

    def write(self, kind: str, data: ReportData, html: Path) -> Path:
        n_rows, model = len(data.current), data.model.name
        if not n_rows:
            raise NotEnoughDataError("there are no current rows to report on", found=0, needed=1)
        body = {"report": kind, "model": model, "n_rows": n_rows}
        write_atomic(html.with_suffix(".json"), dumps(body))
        write_atomic(html, f"<!doctype html><title>{kind}</title><p>{model}: {n_rows} rows</p>")
        self.written[html] = data
        return html
