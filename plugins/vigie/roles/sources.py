"""The roles ApiLogSource (reads API log lines) and ReportRenderer (writes reports)."""

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
    """The API log of the served models, read from the Gradio endpoint ``/logs_api``."""

    def check(self) -> str:
        """Return the address and version of the source; raise an error if it is unavailable."""

    def read(self, offset: int, limit: int) -> LogBatch:
        """Return up to ``limit`` lines, starting with the line at ``offset``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """The tables and the verdict that a report shows.

    Parameters
    ----------
    current
        Features, or for ``model_performance`` the columns ``target``, ``prediction`` (labels) and
        ``probability``.
    reference
        Reference data with the same columns; only ``model_performance`` accepts None.
    verdict, reasons
        The verdict (yes, no, unknown or skipped) and its reasons; empty if the report shows no
        verdict.
    drift
        The verdict on the table and on each column; required by, and only shown in, ``data_drift``.
    """

    model: ModelFile
    current: pd.DataFrame
    reference: pd.DataFrame | None = None
    verdict: str = ""
    reasons: Sequence[str] = ()
    drift: DriftVerdict | None = None


class ReportRenderer(Protocol):
    """A renderer that writes a report as an HTML file and a JSON file."""

    def write(self, kind: str, data: ReportData, html: Path) -> Path:
        """Write ``html`` and a JSON file of the same name, each atomically; return ``html``.

        Raises
        ------
        NotEnoughDataError
            A table has no rows, or no current row is usable; no file is written.
        DataError
            The kind is unknown, or the kind needs a column, reference or verdict that is missing.
        """
