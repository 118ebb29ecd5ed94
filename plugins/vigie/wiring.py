"""The composition root: the only module, apart from ``vigie.testing``, that imports adapters.

``open_services(settings)`` yields :class:`vigie.roles.Services`. Each adapter is imported and
opened when its attribute is first read, because importing evidently, torch, gradio, mlflow or
sklearn takes 3 to 8 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from vigie import roles
from vigie.errors import SettingsError, TransientError, VigieError
from vigie.records import ProjectPaths
from vigie.settings import Settings, StreamSettings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from vigie.models.thresholds import Threshold

#: Maximum wait of a read from Kafka, because a follower must stop soon after a signal.
_STREAM_WAIT_S = 2.0


class LazyServices:
    """The services that the settings select; each is opened on first use.

    Parameters
    ----------
    settings
        Addresses, credentials and folders.
    call_wait_s
        Maximum seconds that a call to Elasticsearch waits for a busy or unavailable server. If a
        value is given, reads and commits on Kafka wait at most 2 s. If None, the limit is 90 s for
        both, and for Elasticsearch it restarts whenever documents are accepted. The embedded index
        and stream ignore the value.
    """

    def __init__(self, settings: Settings, call_wait_s: float | None = None) -> None:
        self.settings = settings
        self.call_wait_s = call_wait_s
        self.stack = ExitStack()

    @property
    def paths(self) -> ProjectPaths:
        return self.settings.paths

    @property
    def now(self) -> Callable[[], datetime]:
        return _utc_now

    @cached_property
    def engine(self) -> Engine:
        from vigie.adapters.postgres.engine import open_engine

        url = self.settings.database.url
        if url is None:
            raise TransientError("no database is set; run `vigie up`, or set VIGIE_DATABASE_URL")
        engine = open_engine(url.get_secret_value())
        self.stack.callback(engine.dispose)
        return engine

    @cached_property
    def predictions(self) -> roles.PredictionStore:
        from vigie.adapters.postgres.predictions import SqlPredictions

        return SqlPredictions(self.engine)

    @cached_property
    def labels(self) -> roles.LabelStore:
        from vigie.adapters.postgres.labels import SqlLabels

        return SqlLabels(self.engine)

    @cached_property
    def deployments(self) -> roles.DeploymentStore:
        from vigie.adapters.postgres.deployments import SqlDeployments

        return SqlDeployments(self.engine)

    @cached_property
    def ledger(self) -> roles.Ledger:
        from vigie.adapters.postgres.ledger import SqlLedger

        return SqlLedger(self.engine)

    @cached_property
    def state(self) -> roles.StateStore:
        from vigie.adapters.postgres.state import SqlState

        return SqlState(self.engine)

    @cached_property
    def locks(self) -> roles.Locks:
        from vigie.adapters.postgres.locks import SqlLocks

        return SqlLocks(self.engine)

    @cached_property
    def index(self) -> roles.LogIndex:
        if self.settings.elasticsearch.host:
            return self._elasticsearch()
        from vigie.adapters.postgres.index import PgIndex

        return PgIndex(self.engine)

    def _elasticsearch(self) -> roles.LogIndex:
        from vigie.adapters.elastic.client import Access
        from vigie.adapters.elastic.index import EsIndex
        from vigie.adapters.elastic.retry import Patience

        found = self.settings.elasticsearch
        access = Access(
            user=found.user,
            password=found.password.get_secret_value() if found.password else None,
            api_key=found.api_key.get_secret_value() if found.api_key else None,
            ca_certs=str(found.ca_certs) if found.ca_certs else None,
            verify_certs=found.verify_certs,
        )
        patience = (
            Patience()
            if self.call_wait_s is None
            else Patience(total_s=self.call_wait_s, is_absolute=True)
        )
        index = EsIndex(found.url, access, replicas=found.replicas, patience=patience)
        self.stack.callback(index.close)
        return index

    @cached_property
    def stream(self) -> roles.LogStream:
        found = self.settings.stream
        if found.bootstrap_servers:
            from vigie.adapters.kafka.stream import KafkaStream

            stream = KafkaStream(
                found.bootstrap_servers,
                locks=lambda: self.locks,
                security=found.security(),
                patience_s=None if self.call_wait_s is None else _STREAM_WAIT_S,
            )
            self.stack.callback(stream.close)
            return stream
        from vigie.adapters.postgres.stream import PgStream

        return PgStream(self.engine)

    @cached_property
    def bundles(self) -> roles.BundleStore:
        from vigie.adapters.bundles.directory import BundleDirectory

        return BundleDirectory(self.paths.artifacts)

    @cached_property
    def tracker(self) -> roles.Tracker:
        mlflow = self.settings.mlflow
        if not mlflow.enabled:
            from vigie.adapters.tracking.null import NullTracker

            return NullTracker()
        if mlflow.tracking_uri is None:
            raise TransientError(
                "no MLflow server is set; run `vigie up`, or set MLFLOW_TRACKING_URI"
            )
        from vigie.adapters.tracking.tracker import MlflowTracker

        return MlflowTracker(mlflow.tracking_uri, mlflow.login())

    @cached_property
    def metrics(self) -> roles.MetricsSink:
        if self.settings.metrics.pushgateway_url:
            from vigie.adapters.metrics.pushgateway import Pushgateway

            return Pushgateway(self.settings.metrics.pushgateway_url)
        from vigie.adapters.metrics.text_files import MetricsFiles

        return MetricsFiles(self.paths.local / "metrics")

    @cached_property
    def api_logs(self) -> roles.ApiLogSource:
        from vigie.adapters.api_log.gradio_source import GradioSource

        gradio = self.settings.gradio
        if gradio.url is None:
            raise TransientError("no Gradio app is set; run `vigie up`, or set GRADIO_URL")
        token = gradio.hf_token.get_secret_value() if gradio.hf_token else None
        return GradioSource(gradio.url, token=token)

    @cached_property
    def renderer(self) -> roles.ReportRenderer:
        from vigie.adapters.reporting.renderer import EvidentlyRenderer

        return EvidentlyRenderer()


@contextmanager
def open_services(settings: Settings, call_wait_s: float | None = None) -> Iterator[LazyServices]:
    """Yield the services that the settings select; close their connections after the block."""
    services = LazyServices(settings, call_wait_s)
    with services.stack:
        yield services


def overridden_thresholds(
    settings: Settings, source: str, given: Mapping[str, float | None]
) -> dict[str, Threshold]:
    """Return each threshold with its source; ``given`` takes precedence over the settings."""
    from vigie.models.thresholds import thresholds_from

    return thresholds_from(
        (source, given),
        (settings.source("RETRAIN_THRESHOLD"), {"min_rows": settings.loop.retrain_threshold}),
        (settings.source("DRIFT_THRESHOLD"), {"drift_share": settings.loop.drift_threshold}),
    )


def upgrade_database(url: str) -> None:
    """Migrate a database to the schema of this release."""
    from vigie.adapters.postgres.migrate import upgrade

    upgrade(url)


def database_error(exc: Exception) -> VigieError:
    """Convert an error of psycopg2 or SQLAlchemy to a VigieError."""
    from vigie.adapters.postgres.errors import translate

    return translate(exc)


def describe_kafka(settings: StreamSettings) -> str:
    """Return the id of the Kafka cluster and its number of brokers."""
    from vigie.adapters.kafka.client import KafkaCluster

    servers = settings.bootstrap_servers or ""
    return KafkaCluster(servers, settings.security(), outage_s=0).describe()


def tracking_refused(url: str, words: str) -> SettingsError:
    """Return the error for an MLflow server that denied access with the message ``words``."""
    from vigie.adapters.tracking.errors import refused

    return refused(url, words)


def _utc_now() -> datetime:
    return datetime.now(UTC)
