"""Merge the metrics text files of all jobs into one exposition."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

log = logging.getLogger(__name__)


def merge_metrics(folder: Path, own: str = "") -> str:
    """Return the series of ``own`` and of every ``*.prom`` file in ``folder`` as one exposition.

    The samples of a family that occurs in several files are merged under one HELP and TYPE. A file
    is skipped with a warning if it cannot be read or parsed, or if it declares a family with
    another type than ``own`` or an earlier file.
    """
    merged = _MergedFamilies()
    merged.add(own, "serving")
    for path in sorted(folder.glob("*.prom")):
        try:
            merged.add(path.read_text(encoding="utf-8"), path.name)
        except FileNotFoundError:
            continue  # The file was deleted after it was listed.
        except (OSError, ValueError) as exc:
            log.warning("skipped the metrics file %s: %s", path, exc)
    return generate_latest(merged).decode()


class _MergedFamilies:
    """A Prometheus collector of the metric families of several expositions."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def collect(self) -> Iterator[Family]:
        yield from self._families.values()

    def add(self, text: str, source: str) -> None:
        # The start time of a counter (_created) is not in the catalogue.
        families = [
            family
            for family in text_string_to_metric_families(text)
            if not family.name.endswith("_created")
        ]
        for family in families:
            known = self._families.get(family.name, family)
            if known.type != family.type:
                raise ValueError(
                    f"{source}: {family.name} has the type {family.type}, not {known.type}"
                )
        for family in families:
            known = self._families.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)
