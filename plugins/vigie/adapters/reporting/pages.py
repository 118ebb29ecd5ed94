"""Our part of a report page: what was compared, left out and decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

_STYLE = """<style>
.vigie{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:24px auto;padding:0
16px;color:#222} .vigie h1{font-size:24px;margin:0 0 4px}.vigie h2{font-size:16px;margin:20px 0 4px}
.vigie table{border-collapse:collapse;margin:8px 0}.vigie ul{margin:4px 0} .vigie td,.vigie
th{padding:3px 12px 3px 0;border-bottom:1px solid #ddd;text-align:left} .vigie td+td,.vigie
th+th{text-align:right;font-variant-numeric:tabular-nums} .vigie .verdict{font-size:17px;padding:8px
12px;background:#f3f4f6;border-left:4px solid #6b7280} .vigie .yes{border-color:#b91c1c}.vigie
.no{border-color:#15803d} .vigie .wide td:last-child,.vigie .wide th:last-child{text-align:left}
</style>"""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; ``is_wide`` when its last column holds sentences."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_wide: bool = False

    def html(self) -> str:
        head = "".join(f"<th>{escape(str(cell))}</th>" for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        css = ' class="wide"' if self.is_wide else ""
        return f"<h2>{escape(self.title)}</h2><table{css}><tr>{head}</tr>{body}</table>"


@dataclass(frozen=True, slots=True)
class Page:
    """Our header, above Evidently's figures or instead of them."""

    title: str
    subtitle: str
    verdict: str | None = None
    word: str = ""  # yes, no, unknown: the colour of the verdict
    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()

    def html(self, figures: str | None) -> str:
        """Return the whole page; ``figures`` is Evidently's page or None."""
        if figures is None or "<body>" not in figures:
            return (
                f"<!doctype html><html lang='en'>{self._head()}<body>{self._body()}</body></html>"
            )
        head, body = figures.split("<body>", 1)
        return f"{head}<body>{self._head()}{self._body()}{body}"

    def _head(self) -> str:
        return f"<meta charset='utf-8'><title>{escape(self.title)}</title>{_STYLE}"

    def _body(self) -> str:
        verdict = (
            f"<p class='verdict {escape(self.word)}'>{escape(self.verdict)}</p>"
            if self.verdict
            else ""
        )
        left_out = [f"left out: {name}: {reason}" for name, reason in self.left_out.items()]
        items = "".join(f"<li>{escape(note)}</li>" for note in [*self.notes, *left_out])
        notes = f"<ul>{items}</ul>" if items else ""
        tables = "".join(table.html() for table in self.tables)
        title, subtitle = escape(self.title), escape(self.subtitle)
        return f"<div class='vigie'><h1>{title}</h1><p>{subtitle}</p>{verdict}{notes}{tables}</div>"


def shown(value: Any) -> str:
    """Return a cell's text.

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
