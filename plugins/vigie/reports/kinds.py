"""Registry of the report kinds: name, files, Airflow task, and the tables that each kind shows.

To add a report, add its kind to :data:`KINDS` and its drawing function to ``KINDS`` of
:mod:`vigie.adapters.reporting.renderer`. The DAG, the command line and the cleanup read this
registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vigie.errors import NotEnoughDataError
from vigie.roles.sources import ReportData

if TYPE_CHECKING:
    from vigie.reports.window import Window


@dataclass(frozen=True, slots=True)
class ReportKind:
    """A kind of report: the name, with which the file names begin, and the function ``data``.

    ``data`` returns the content of the report for a window. It raises NotEnoughDataError if the
    window lacks this content.
    """

    name: str
    data: Callable[[Window], ReportData]

    @property
    def task_id(self) -> str:
        return f"{self.name}_report"

    def file_name(self, model: str, until: datetime) -> str:
        """Return the name of the HTML file; a retry of the same window gets the same name.

        Examples
        --------
        >>> KINDS["data_drift"].file_name("fraud", datetime(2026, 11, 21, 12, tzinfo=UTC))
        'data_drift_report_fraud_20261121_120000.html'
        """
        return f"{self.task_id}_{model}_{until.astimezone(UTC):%Y%m%d_%H%M%S}.html"


def _quality(window: Window) -> ReportData:
    return ReportData(model=window.model, current=window.current, reference=window.reference)


def _drift(window: Window) -> ReportData:
    drift = window.evaluation.drift
    return ReportData(
        model=window.model,
        current=window.current,
        reference=window.reference,
        verdict=drift.word,
        reasons=drift.reasons,
        drift=drift,
    )


def _performance(window: Window) -> ReportData:
    if not window.labelled:
        raise NotEnoughDataError(
            f"{window.model.name}: no prediction of v{window.bundle.version} from "
            f"{window.run.period} has a label yet; send POST /feedback",
            found=0,
            needed=1,
        )
    evaluation = window.evaluation
    return ReportData(
        model=window.model,
        current=window.labelled_table,
        verdict=evaluation.performance_word,
        reasons=(evaluation.performance.reason,),
    )


KINDS = {
    kind.name: kind
    for kind in (
        ReportKind("data_quality", _quality),
        ReportKind("data_drift", _drift),
        ReportKind("model_performance", _performance),
    )
}

#: Matches the names of report files; the cleanup keeps all other files of the folder.
FILES = re.compile(
    rf"(?P<report>{'|'.join(KINDS)})_report_"
    r"(?P<model>[a-z][a-z0-9_]{0,63})_(?P<stamp>\d{8}_\d{6})\.(?:html|json)"
)
