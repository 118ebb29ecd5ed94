"""Write the page that holds a champion's answers against what really happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from vigie.catalogue import REPORT_ROWS
from vigie.errors import NotEnoughDataError
from vigie.records import LabelledPrediction, Sample
from vigie.reports.window import (
    Window,
    WrittenReport,
    champion_bundle,
    report_path,
    served_rows,
    written,
)

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

REPORT = "model_performance"


def write_performance_report(
    services: Services, *, model: ModelFile, window: Window
) -> WrittenReport:
    """Leave a page and its JSON in the reports folder, or nothing.

    Only real labels count, and only answers of the present champion: an old version's mistakes are
    not its own.

    Raises
    ------
    NotEnoughDataError
        No champion, or none of its answers in the window has a label yet.
    """
    bundle = champion_bundle(services, model)
    rows = labelled_rows(model, served_rows(services, model, window), bundle.version)
    if not rows:
        raise NotEnoughDataError(
            f"{model.name}: no answer of v{bundle.version} from {window} has a label yet; "
            "send POST /feedback",
            found=0,
            needed=1,
        )
    path = report_path(services, REPORT, model.name, window)
    services.renderer.performance(model, answer_table(rows), None, path)
    labels = {"model": model.name, "report": REPORT}
    metrics = [Sample(REPORT_ROWS, float(len(rows)), labels)]
    return written(REPORT, model, window, path, len(rows), 0, metrics)


def labelled_rows(
    model: ModelFile, rows: Sequence[LabelledPrediction], version: int
) -> list[LabelledPrediction]:
    """Return the answers of one version that carry one of the model's labels."""
    return [
        row
        for row in rows
        if row.prediction.model_version == version and row.actual in model.labels
    ]


def answer_table(rows: Sequence[LabelledPrediction]) -> pd.DataFrame:
    """Return the columns ``target``, ``prediction`` and ``probability``."""
    cells = [(r.actual, r.prediction.prediction, r.prediction.probability) for r in rows]
    return pd.DataFrame(cells, columns=["target", "prediction", "probability"])
