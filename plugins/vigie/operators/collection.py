"""Operators of the DAG ``logs_to_elasticsearch``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from vigie.operators.base import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

log = logging.getLogger(__name__)


class CheckPrerequisitesOperator(JobOperator):
    """Check that the API and the log index respond, and create missing indices."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.collection.check_prerequisites import check_prerequisites

        return check_prerequisites(services, raw_index=settings.elasticsearch.index)


class IngestLogsOperator(JobOperator):
    """Collect up to ``limit`` new lines into the three indices.

    Parameters
    ----------
    limit
        Maximum number of lines per run.
    filter_pattern
        Text that selects the predictions. Empty: the value of ``PIPELINE_FILTER_PATTERN``.
    """

    template_fields = ("limit", "filter_pattern")

    def __init__(self, *, limit: int | str, filter_pattern: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit
        self.filter_pattern = filter_pattern

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.collection.ingest_logs import ingest_logs

        elasticsearch, pipeline = settings.elasticsearch, settings.pipeline
        result = ingest_logs(
            services,
            limit=int(self.limit),
            filter_pattern=self.filter_pattern or pipeline.filter_pattern,
            batch_size=pipeline.batch_size,
            raw_index=elasticsearch.index,
        )
        if elasticsearch.retention_days is not None:
            _expire(services, elasticsearch.index, elasticsearch.retention_days)
        return result


def _expire(services: Services, raw_index: str, days: int) -> None:
    from vigie.collection.index_specs import api_log_specs
    from vigie.collection.maintain_indices import expire_documents

    names = [spec.name for spec in api_log_specs(raw_index)]
    result = expire_documents(services, indices=names, days=days)
    log.info(
        "deleted the documents older than %s; number by index: %s", result.before, result.deleted
    )


class ExportDatasetOperator(JobOperator):
    """Export each model that has new predictions; skip the task if there is no such model."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.collection.export_dataset import export_datasets

        return export_datasets(services)
