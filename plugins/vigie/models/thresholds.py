"""Thresholds of triggers and reports, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold and its source, such as ``DAG Param``, ``command line`` or ``model file``."""

    value: float | None
    source: str


def thresholds_from(*layers: tuple[str, Mapping[str, float | None]]) -> dict[str, Threshold]:
    """Return each threshold with the value and the source of the first layer that sets it.

    A layer is a pair: a source, and the values of thresholds by name. None means not set.

    Examples
    --------
    >>> thresholds_from(("Param", {"min_rows": None}), ("environment", {"min_rows": 10}))
    {'min_rows': Threshold(value=10, source='environment')}
    """
    found: dict[str, Threshold] = {}
    for source, values in layers:
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, Threshold(value, source))
    return found
