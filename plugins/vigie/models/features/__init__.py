"""Derived features of the shipped models.

A derivation is a module of this package with ``NAMES``, the columns that it adds, and
``derive(frame)``, which computes these columns from a frame of base features. A model file selects
a derivation with ``derive = "MODULE"``.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from vigie.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class Derivation(Protocol):
    """A module that computes columns of a row from the base features of the same row."""

    @property
    def NAMES(self) -> tuple[str, ...]: ...  # noqa: N802  (a module constant)

    def derive(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns ``NAMES``, computed from ``frame`` and with the same index."""


def derivations() -> tuple[str, ...]:
    """Return the sorted names of the derivations, which a model file may select."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def derivation(name: str) -> Derivation:
    """Return a derivation by name. Raises DataError if there is no such derivation."""
    if name not in derivations():
        raise DataError(f"no derivation is named {name!r}; available: {', '.join(derivations())}")
    return cast(Derivation, import_module(f"vigie.models.features.{name}"))
