"""Contract of the metrics sink, for the fake and the text files.

The test of the Pushgateway is in ``tests/adapters/metrics``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vigie.adapters.metrics.text_files import MetricsFiles
from vigie.monitoring.exposition import merge_metrics
from vigie.testing.contracts import metrics_sink
from vigie.testing.contracts.metrics_sink import MetricsSubject, Series, series_of
from vigie.testing.telemetry import FakeMetrics


def _fake_series(fake: FakeMetrics) -> list[Series]:
    return [
        (s.name, tuple(sorted({**s.labels, **dict(grouping), "job": job}.items())), s.value)
        for (job, grouping), samples in fake.groups.items()
        for s in samples
    ]


@pytest.fixture(params=["memory", "files"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> MetricsSubject:
    if request.param == "memory":
        fake = FakeMetrics()
        return MetricsSubject(fake, "dag", lambda: _fake_series(fake))
    sink = MetricsFiles(tmp_path)
    return MetricsSubject(sink, "dag", lambda: series_of(merge_metrics(tmp_path)))


@pytest.mark.parametrize("check", metrics_sink.CHECKS, ids=lambda check: check.__name__)
def test_metrics(check: Callable[[MetricsSubject], None], subject: MetricsSubject) -> None:
    check(subject)
