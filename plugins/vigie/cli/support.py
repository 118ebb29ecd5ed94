"""What commands share: the console, and services opened the way a person expects."""

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
    overrides: Mapping[str, str | None] | None = None, index_wait_s: float | None = None
) -> Iterator[LazyServices]:
    """Open services with these flags; start the embedded PostgreSQL alone if it is needed and
    down.
    """
    from vigie.local.database import ensure_database
    from vigie.settings import Settings
    from vigie.wiring import open_services

    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    settings = ensure_database(Settings.from_env(given), tell=errors.print)
    with open_services(settings, index_wait_s) as opened:
        yield opened
