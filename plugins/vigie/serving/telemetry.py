"""Metrics of the serving process, with the names of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vigie import catalogue
from vigie.serving.predict import Usage

if TYPE_CHECKING:
    from vigie.serving.champion import Champions

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Telemetry:
    """The metrics of one app, in a separate registry, so that two apps share no metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._made(Counter, catalogue.HTTP_REQUESTS)
        self.duration = self._made(Histogram, catalogue.HTTP_DURATION, buckets=BUCKETS)
        self.predictions = self._made(Counter, catalogue.PREDICTIONS)
        self.feedback = self._made(Counter, catalogue.FEEDBACK)
        self.load_failures = self._made(Counter, catalogue.MODEL_LOAD_FAILURES)
        self.served_version = self._made(Gauge, catalogue.MODEL_SERVED_VERSION)
        self.database_up = self._made(Gauge, catalogue.SERVING_DATABASE_UP)

    def _made(self, kind: Any, name: str, **options: Any) -> Any:
        metric = catalogue.METRICS[name]
        return kind(metric.name, metric.help, metric.labels, registry=self.registry, **options)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is a template, never a path sent by a client."""
        self.requests.labels(route, str(status)).inc()
        self.duration.labels(route).observe(seconds)

    def load_failed(self, model: str) -> None:
        self.load_failures.labels(model).inc()

    def exposition(self, champions: Champions, folder: Path) -> str:
        """Return the metrics of the app, then the metrics that jobs wrote to ``folder``."""
        from vigie.monitoring.exposition import merge_metrics

        self.database_up.set(champions.database_error is None)
        for slot in champions:
            self.load_failures.labels(slot.model.name)  # Alerts need the counter from 0 on.
            if slot.served:
                self.served_version.labels(slot.model.name).set(slot.served.version)
        return merge_metrics(folder, generate_latest(self.registry).decode())


class ProcessUsage:
    """CPU and memory of this process, sampled by a background thread."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()
        self.last = Usage()

    def sample(self) -> None:
        """Measure the resident memory, and the CPU use since the last sample."""
        self.last = Usage(
            cpu_percent=round(self._process.cpu_percent(), 1),
            memory_mb=round(self._process.memory_info().rss / 2**20, 1),
        )
