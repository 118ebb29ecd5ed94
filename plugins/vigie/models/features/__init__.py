"""Derived features of the shipped models.

A derivation is a module here with ``NAMES`` (the columns it adds) and ``derive(frame)``, which
returns those columns for a frame of base features; a model file names it by ``derive = "MODULE"``.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from vigie.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class Derivation(Protocol):
    """Columns computed from a row's own base features: no state, no other rows."""

    @property
    def NAMES(self) -> tuple[str, ...]: ...  # noqa: N802  (a module constant)

    def derive(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns ``NAMES`` with the index of ``frame``."""


def derivations() -> tuple[str, ...]:
    """Return the names a model file may give."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def derivation(name: str) -> Derivation:
    """Return a derivation by name. Raises DataError if there is none."""
    if name not in derivations():
        raise DataError(f"no derivation is called {name!r}; there are: {', '.join(derivations())}")
    return cast(Derivation, import_module(f"vigie.models.features.{name}"))
