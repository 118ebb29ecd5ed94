"""``vigie logs expire``."""

from __future__ import annotations

from typing import Annotated

import typer

from vigie.cli.support import console, services


def expire(
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Keep so many days (else ELASTICSEARCH_RETENTION_DAYS)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete them.")] = False,
    expect_cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Elasticsearch: the cluster that is meant."),
    ] = None,
) -> None:
    """Delete documents of the log indices that are older than they need be kept."""
    from vigie.collection.confirmation import require_confirmation
    from vigie.collection.expire_documents import expire_documents
    from vigie.collection.index_specs import api_log_specs
    from vigie.errors import SettingsError

    with services() as opened:
        found = opened.settings.elasticsearch
        keep = days or found.retention_days
        if keep is None:
            raise SettingsError(
                "documents are kept for ever; say --days or set ELASTICSEARCH_RETENTION_DAYS"
            )
        names = [spec.name for spec in api_log_specs(found.index)]
        require_confirmation(
            opened,
            names,
            confirmed=yes,
            expect_cluster=expect_cluster,
            only=f"what is older than {keep} days of ",
        )
        report = expire_documents(opened, indices=names, days=keep)
    for name, documents in report.deleted.items():
        console.print(
            f"{name}: {documents} documents before {report.before:%Y-%m-%d %H:%M} UTC deleted",
            highlight=False,
        )
