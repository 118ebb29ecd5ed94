"""Shared by the commands: the consoles, and services that start the database if needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from vigie.wiring import LazyServices

console = Console()
errors = Console(stderr=True)


@contextmanager
def services(
    overrides: Mapping[str, str | None] | None = None, call_wait_s: float | None = None
) -> Iterator[LazyServices]:
    """Open services; start the embedded PostgreSQL if it is used and not running.

    Parameters
    ----------
    overrides
        Options of the command by the name of their variable; None: not given.
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
