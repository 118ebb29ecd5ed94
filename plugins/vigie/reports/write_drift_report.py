"""Write the drift page of one model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigie.catalogue import REPORT_ROWS
from vigie.drift.decision import detect_drift
from vigie.records import Sample
from vigie.reports.window import (
    Window,
    WrittenReport,
    champion_bundle,
    feature_table,
    frozen_profile,
    reference_table,
    report_path,
    served_rows,
    written,
)

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

REPORT = "data_drift"


def write_drift_report(
    services: Services, *, model: ModelFile, window: Window, drift_share: float | None = None
) -> WrittenReport:
    """Leave a page and its JSON in the reports folder, or nothing.

    The page shows the verdict against the champion's frozen profile, from all rows; it is the one
    that :func:`vigie.reports.decide_drift.decide_drift` records.

    ``drift_share`` None is the model file's.

    Raises
    ------
    NotEnoughDataError
        No champion, or nothing was predicted in the window.
    """
    bundle = champion_bundle(services, model)
    current = feature_table(model, served_rows(services, model, window))
    reference = reference_table(services, model, bundle)
    share = model.retrain.drift_share if drift_share is None else drift_share
    verdict = detect_drift(frozen_profile(bundle), current, share)
    path = report_path(services, REPORT, model.name, window)
    services.renderer.drift(model, current, reference, path, verdict)
    labels = {"model": model.name, "report": REPORT}
    metrics = [Sample(REPORT_ROWS, float(len(current)), labels)]
    return written(REPORT, model, window, path, len(current), len(reference), metrics)
