"""Convert samples to Prometheus metric families and check them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from vigie.catalogue import METRICS
from vigie.errors import DataError
from vigie.records import Sample

# Label values are names of models, columns or partitions. If a metric has more series than this,
# input was probably used as a label value.
MAX_SERIES = 100


class Families:
    """A Prometheus collector that returns the given families."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Family]:
        yield from self._families


def families(samples: Sequence[Sample], group: Mapping[str, str]) -> list[Family]:
    """Group samples into families; add the labels ``group``, which replace labels of equal name.

    Raises
    ------
    DataError
        A name is not in the catalogue, a series occurs twice, or a name has more than
        ``MAX_SERIES`` series.
    """
    made: dict[str, Family] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for sample in samples:
        family = made.setdefault(sample.name, _family(sample.name))
        labels = {**sample.labels, **group}
        series = (sample.name, tuple(sorted(labels.items())))
        if series in seen:
            raise DataError(f"metric {sample.name} occurs twice with the labels {labels}")
        seen.add(series)
        family.add_sample(sample.name, labels, sample.value)
    for name, n in Counter(name for name, _ in seen).items():
        if n > MAX_SERIES:
            raise DataError(f"metric {name} has {n} series; the maximum is {MAX_SERIES}")
    return list(made.values())


def _family(name: str) -> Family:
    known = METRICS.get(name)
    if known is None:
        raise DataError(f"metric {name!r} is not in vigie.catalogue; add it there")
    made = CounterMetricFamily if known.kind == "counter" else GaugeMetricFamily
    family: Family = made(name, known.help)
    return family
