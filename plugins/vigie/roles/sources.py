"""The roles at the edges: where API log lines come from, and who draws the reports."""

from __future__ import annotations

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
        """Return the address and version of the source. Raises TransientError or SettingsError."""

    def read(self, offset: int, limit: int) -> LogBatch:
        """Return up to ``limit`` lines from ``offset`` on."""


class ReportRenderer(Protocol):
    """Draws HTML and JSON reports for people; decisions are made elsewhere (:mod:`vigie.drift`)."""

    def quality(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame, html: Path
    ) -> Path:
        """Write ``html`` and the JSON beside it, by temporary name and rename; return ``html``."""

    def drift(
        self,
        model: ModelFile,
        current: pd.DataFrame,
        reference: pd.DataFrame,
        html: Path,
        verdict: DriftVerdict | None = None,
    ) -> Path:
        """Show ``verdict``; None: the renderer decides against ``reference``."""

    def performance(
        self, model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame | None, html: Path
    ) -> Path:
        """``current`` carries the columns ``target``, ``prediction`` (labels) and
        ``probability``.
        """
