"""Samples as Prometheus families: what both metrics sinks send, checked in one way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from vigie.catalogue import METRICS
from vigie.errors import DataError
from vigie.records import Sample

# Labels are names of ours (models, columns, partitions); more of them than this came from input.
MAX_SERIES = 100


class Families:
    """A collector of families that are already made."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Family]:
        yield from self._families


def families(samples: Sequence[Sample], group: Mapping[str, str]) -> list[Family]:
    """Gather samples by family; the group's labels win, as in a Pushgateway.

    Raises
    ------
    DataError
        For a name that is not in the catalogue, a series given twice, or more than
        ``MAX_SERIES`` series of one name.
    """
    made: dict[str, Family] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for sample in samples:
        family = made.setdefault(sample.name, _family(sample.name))
        labels = {**sample.labels, **group}
        series = (sample.name, tuple(sorted(labels.items())))
        if series in seen:
            raise DataError(f"metric {sample.name} is given twice with the labels {labels}")
        seen.add(series)
        family.add_sample(sample.name, labels, sample.value)
    for name, n in Counter(name for name, _ in seen).items():
        if n > MAX_SERIES:
            raise DataError(f"metric {name} has {n} series; {MAX_SERIES} are the most")
    return list(made.values())


def expose(families: Iterable[Family]) -> str:
    """Return families in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(families))
    return generate_latest(registry).decode()


def _family(name: str) -> Family:
    known = METRICS.get(name)
    if known is None:
        raise DataError(f"metric {name!r} is not in vigie.catalogue; add it there")
    made = CounterMetricFamily if known.kind == "counter" else GaugeMetricFamily
    family: Family = made(name, known.help)
    return family
