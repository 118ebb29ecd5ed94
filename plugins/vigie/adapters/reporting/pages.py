"""Render the summary of a report as HTML: verdict, tables, notes and omitted columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; ``is_wide`` states that its last column contains sentences."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The summary of a report.

    ``word`` (yes, no, unknown or skipped) selects the colour of the verdict. ``left_out`` maps the
    names of omitted columns to reasons.
    """

    title: str
    subtitle: str
    verdict: str = ""
    word: str = ""
    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()

    def html(self, evidently: str | None) -> str:
        """Return the summary, and Evidently's page below it if there is one with a body."""
        parts = None
        if evidently is not None and "<body>" in evidently:
            parts = evidently.split("<body>", 1)
        return _environment().get_template("report.html.j2").render(page=self, evidently=parts)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vigie.adapters.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment


def shown(value: Any) -> str:
    """Return the text that a cell of a table shows for a value.

    Examples
    --------
    >>> [shown(v) for v in (None, True, 1234, 0.123456, "text")]
    ['unknown', 'yes', '1,234', '0.1235', 'text']
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
