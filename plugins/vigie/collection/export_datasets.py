"""Export the predictions of every model that has new ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.export_dataset import ExportReport, export_dataset
from vigie.errors import NotEnoughDataError
from vigie.models.catalog import model_states
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportsReport(JobResult):
    """One entry a model that was exported."""

    exports: tuple[ExportReport, ...]


def export_datasets(services: Services) -> ExportsReport:
    """Export each model in turn; one whose file is wrong is named in the log and left out.

    Raises
    ------
    NotEnoughDataError
        No model has anything new.
    """
    exports: list[ExportReport] = []
    for state in model_states(services.paths.models, services.paths.data):
        if state.model is None:
            log.warning("%s is left out: %s", state.name, state.detail)
            continue
        try:
            exports.append(export_dataset(services, model=state.model, only_if_new=True))
        except NotEnoughDataError as exc:
            log.info("%s", exc)
    if not exports:
        raise NotEnoughDataError("no model has new predictions to export")
    metrics = [sample for export in exports for sample in export.metrics]
    return ExportsReport(exports=tuple(exports), metrics=metrics)
