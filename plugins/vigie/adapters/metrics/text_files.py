"""The embedded metrics sink: one Prometheus text file a group, merged by serving's ``/metrics``.

It means what a Pushgateway means: a push replaces its whole group, every series carries the
group's labels, and ``push_time_seconds`` says when the group was last written.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from vigie.adapters.metrics.families import expose, families
from vigie.encoding import digest, write_atomic
from vigie.errors import TransientError
from vigie.records import Sample

log = logging.getLogger(__name__)
PUSH_TIME = "push_time_seconds"  # the Pushgateway's own name, so that alerts hold in both worlds


class MetricsFiles:
    """A :class:`vigie.roles.MetricsSink` on a folder; readers see a whole group or none of it.

    Parameters
    ----------
    folder
        Where the ``*.prom`` files lie; made by the first push.
    clock
        Seconds since 1970; tests inject their own.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the group's file.

        Raises
        ------
        DataError
            For a name that is not in the catalogue, or a series given twice.
        TransientError
            When the file cannot be written; the group is then as it was.
        """
        labels = {**(grouping or {}), "job": job}
        text = expose([*families(samples, labels), _push_time(labels, self._clock())])
        try:
            write_atomic(self._path(job, grouping), text)
        except OSError as exc:
            raise TransientError(
                f"metrics of {job} not written below {self._folder}: {exc}"
            ) from exc

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None:
        """Remove the group's file, if there is one."""
        self._path(job, grouping).unlink(missing_ok=True)

    def _path(self, job: str, grouping: Mapping[str, str] | None) -> Path:
        parts = [part for pair in sorted((grouping or {}).items()) for part in pair]
        readable = re.sub(r"[^a-zA-Z0-9_]+", "-", job)[:40]
        return self._folder / f"{readable}-{digest(job, *parts)[:12]}.prom"


def merge_metrics(folder: Path, own: str = "") -> str:
    """Return every group's series as one exposition, after ``own`` (serving's registry).

    A family told by several files appears once, under one HELP and TYPE. A file that is not
    readable, or tells a family with another type, is left out and logged.
    """
    merged: dict[str, Family] = {}
    _merge(merged, own, "serving")
    for path in sorted(folder.glob("*.prom")):
        try:
            _merge(merged, path.read_text(encoding="utf-8"), path.name)
        except FileNotFoundError:
            continue  # deleted since it was listed
        except (OSError, ValueError) as exc:
            log.warning("metrics file %s left out: %s", path, exc)
    return expose(merged.values())


def _merge(merged: dict[str, Family], text: str, source: str) -> None:
    for family in list(text_string_to_metric_families(text)):
        if family.name.endswith("_created"):
            continue  # when a counter began: noise, not one of our names
        known = merged.setdefault(family.name, family)
        if known is family:
            continue
        if known.type != family.type:
            raise ValueError(f"{family.name} is a {known.type}, in {source} a {family.type}")
        known.samples.extend(family.samples)


def _push_time(labels: Mapping[str, str], at: float) -> Family:
    family = GaugeMetricFamily(PUSH_TIME, "When the group was last written (Unix time)")
    family.add_sample(PUSH_TIME, dict(labels), at)
    return family
