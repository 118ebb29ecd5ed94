"""Embedded metrics sink: one Prometheus text file per group.

Serving's ``/metrics`` merges the files. The semantics are those of a Pushgateway: a push replaces
its whole group, every series has the labels of the group, and ``push_time_seconds`` is the time of
the last push.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from vigie.adapters.metrics.families import Families, families
from vigie.encoding import digest, write_atomic
from vigie.errors import TransientError
from vigie.records import Sample

PUSH_TIME = "push_time_seconds"  # as in a Pushgateway, so that alert rules apply to both sinks


class MetricsFiles:
    """Implement :class:`vigie.roles.MetricsSink` on a folder of ``*.prom`` files.

    The first push creates the folder. Files are replaced atomically. ``clock`` returns the Unix
    time in seconds.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the file of the group.

        Raises
        ------
        DataError
            The samples are invalid (see :func:`families`).
        TransientError
            The file cannot be written; the group is unchanged.
        """
        labels = {**(grouping or {}), "job": job}
        group = Families([*families(samples, labels), _push_time(labels, self._clock())])
        try:
            write_atomic(self._path(job, grouping), generate_latest(group).decode())
        except OSError as exc:
            where = f"the metrics of {job} below {self._folder}"
            raise TransientError(f"cannot write {where}: {exc}") from exc

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None:
        """Delete the file of the group, if it exists."""
        self._path(job, grouping).unlink(missing_ok=True)

    def _path(self, job: str, grouping: Mapping[str, str] | None) -> Path:
        parts = [part for pair in sorted((grouping or {}).items()) for part in pair]
        readable = re.sub(r"[^a-zA-Z0-9_]+", "-", job)[:40]
        return self._folder / f"{readable}-{digest(job, *parts)[:12]}.prom"


def _push_time(labels: Mapping[str, str], at: float) -> Family:
    family = GaugeMetricFamily(PUSH_TIME, "Time of the last push of the group (Unix time)")
    family.add_sample(PUSH_TIME, dict(labels), at)
    return family
