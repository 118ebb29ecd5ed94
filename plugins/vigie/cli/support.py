"""Provide the consoles, common options and services of the commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from vigie.wiring import LazyServices

console = Console()
errors = Console(stderr=True)

BaseDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the logs. [default: data/kafka if it contains logs, else data/local/logs]"
    ),
]
Detector = Annotated[str, typer.Option(help="Detector that scores the lines.")]


@contextmanager
def services(
    overrides: Mapping[str, str | None] | None = None, call_wait_s: float | None = None
) -> Iterator[LazyServices]:
    """Yield the opened services; start the embedded PostgreSQL if it is used and not running.

    Parameters
    ----------
    overrides
        Values of command-line options by variable name; None for an option that is not given.
    call_wait_s
        See :class:`vigie.wiring.LazyServices`.
    """
    from vigie.local.database import ensure_database
    from vigie.settings import Settings
    from vigie.wiring import open_services

    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    settings = ensure_database(Settings.from_env(given), echo=errors.print)
    with open_services(settings, call_wait_s) as opened:
        yield opened
