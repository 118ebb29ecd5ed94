"""The roles ApiLogSource, which reads API log lines, and ReportRenderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vigie.records import LogBatch

if TYPE_CHECKING:
    import pandas as pd

    from vigie.drift.verdict import DriftVerdict
    from vigie.models.model_file import ModelFile


class ApiLogSource(Protocol):
    """The served model's API log (Gradio endpoint ``/logs_api``)."""

    def check(self) -> str:
        """Return the address and version of the source; raise an error if it is unavailable."""

    def read(self, offset: int, limit: int) -> LogBatch:
        """Return up to ``limit`` lines from ``offset`` on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """The tables and the verdict that a report shows.

    Parameters
    ----------
    current
        Features, or for ``model_performance`` the columns ``target``, ``prediction`` (labels) and
        ``probability``.
    reference
        The same columns for comparison; None if there is no reference.
    verdict, reasons
        The verdict of the run (yes, no, unknown, skipped) and its reasons; empty if not shown.
    drift
        The verdict on each column, which ``data_drift`` shows.
    """

    model: ModelFile
    current: pd.DataFrame
    reference: pd.DataFrame | None = None
    verdict: str = ""
    reasons: Sequence[str] = ()
    drift: DriftVerdict | None = None


class ReportRenderer(Protocol):
    """Writes the given data and verdicts of a report as HTML and JSON files."""

    def write(self, kind: str, data: ReportData, html: Path) -> Path:
        """Write ``html`` and a JSON file of the same name, each atomically; return ``html``.

        Raises
        ------
        NotEnoughDataError
            If there are no rows to show; no file is written.
        DataError
            If the kind is unknown, or a column is missing.
        """
