"""Write the data-quality page of one model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigie.catalogue import REPORT_ROWS
from vigie.records import Sample
from vigie.reports.window import (
    Window,
    WrittenReport,
    champion_bundle,
    feature_table,
    reference_table,
    report_path,
    served_rows,
    written,
)

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

REPORT = "data_quality"


def write_quality_report(services: Services, *, model: ModelFile, window: Window) -> WrittenReport:
    """Leave a page and its JSON in the reports folder, or nothing.

    Raises
    ------
    NotEnoughDataError
        No champion, or nothing was predicted in the window.
    """
    bundle = champion_bundle(services, model)
    current = feature_table(model, served_rows(services, model, window))
    reference = reference_table(services, model, bundle)
    path = report_path(services, REPORT, model.name, window)
    services.renderer.quality(model, current, reference, path)
    labels = {"model": model.name, "report": REPORT}
    metrics = [Sample(REPORT_ROWS, float(len(current)), labels)]
    return written(REPORT, model, window, path, len(current), len(reference), metrics)
