"""Expiry deletes only documents older than the retention period, on each log index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.fake_es import FakeEs
from vigie.adapters.elastic.index import EsIndex
from vigie.collection.maintain_indices import expire_documents
from vigie.errors import DataError
from vigie.records import Document, IndexSpec
from vigie.testing import FakeServices

SPEC = IndexSpec("logs", {"@timestamp": "date", "n": "integer"})


@pytest.fixture(params=["memory", "elasticsearch"])
def logged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeServices]:
    """Return services with documents of age 0, 1, … 9 days, and one document without a time."""
    services = FakeServices(tmp_path)
    with FakeEs() as es:
        index = EsIndex(es.url, page=3)
        if request.param == "elasticsearch":
            services.index = index  # type: ignore[assignment]
        services.index.ensure(SPEC)
        now = services.now()
        ages = [(str(n), (now - timedelta(days=n)).isoformat()) for n in range(10)]
        services.index.create("logs", [Document(key, {"@timestamp": at}) for key, at in ages])
        services.index.create("logs", [Document("timeless", {"n": 1})])
        yield services
        index.close()


def test_only_older_documents_are_deleted(logged: FakeServices) -> None:
    report = expire_documents(logged, indices=["logs", "never-made"], days=5)
    assert report.deleted == {"logs": 4, "never-made": 0}
    left = [document.id for document in logged.index.scan("logs")]
    assert left == ["timeless", "5", "4", "3", "2", "1", "0"]


def test_expiring_again_deletes_nothing(logged: FakeServices) -> None:
    expire_documents(logged, indices=["logs"], days=5)
    assert expire_documents(logged, indices=["logs"], days=5).deleted == {"logs": 0}


def test_a_retention_of_less_than_one_day_is_rejected(logged: FakeServices) -> None:
    with pytest.raises(DataError, match="at least 1 day"):
        expire_documents(logged, indices=["logs"], days=0)
