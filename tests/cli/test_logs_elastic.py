"""``vigie check`` and ``vigie logs clear`` with Elasticsearch as the log index."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from support.fake_es import FakeEs
from vigie.adapters.elastic.index import EsIndex
from vigie.collection.index_specs import MESSAGE, api_log_specs
from vigie.collection.maintain_indices import clear_indices, require_confirmation
from vigie.errors import PermanentError
from vigie.local.check import check_roles
from vigie.records import Document
from vigie.settings import Settings
from vigie.testing import FakeServices


@pytest.fixture
def on_cluster(services: FakeServices) -> Iterator[FakeServices]:
    with FakeEs() as es:
        index = EsIndex(es.url)
        services.index = index  # type: ignore[assignment]
        for spec in api_log_specs():
            index.ensure(spec)
        index.create(MESSAGE.name, [Document("1", {"transaction_id": "t"})])
        yield services
        index.close()


@pytest.mark.parametrize("expected", [None, "prod", "", "fake"])
def test_clearing_a_cluster_requires_its_name(
    on_cluster: FakeServices, expected: str | None
) -> None:
    with pytest.raises(PermanentError, match="--expect-cluster fake-cluster"):
        clear_indices(on_cluster, confirmed=True, expect_cluster=expected)
    assert on_cluster.index.count(MESSAGE.name) == 1


def test_nothing_expires_on_a_cluster_that_was_not_named(
    on_cluster: FakeServices,
) -> None:
    message = "older than a day from ml-api-message .1 documents. perm.*--expect-cluster fake"
    with pytest.raises(PermanentError, match=message):
        require_confirmation(
            on_cluster.index,
            [MESSAGE.name],
            confirmed=True,
            expect_cluster=None,
            only="all documents older than a day from ",
        )


def test_clearing_a_named_cluster_requires_confirmation(on_cluster: FakeServices) -> None:
    with pytest.raises(PermanentError, match=r"ml-api-message \(1 documents\)"):
        clear_indices(on_cluster, confirmed=False, expect_cluster="fake-cluster")
    assert on_cluster.index.count(MESSAGE.name) == 1


def test_the_named_cluster_is_cleared(on_cluster: FakeServices) -> None:
    report = clear_indices(on_cluster, confirmed=True, expect_cluster="fake-cluster")
    assert report.deleted[MESSAGE.name] == 1
    assert on_cluster.index.fields(MESSAGE.name) is None


def test_a_cluster_name_does_not_match_the_embedded_index(services: FakeServices) -> None:
    with pytest.raises(PermanentError, match="embedded, not on cluster prod"):
        clear_indices(services, confirmed=True, expect_cluster="prod")
    clear_indices(services, confirmed=True)


def test_check_reports_the_address_of_an_unavailable_server_within_five_seconds() -> None:
    with FakeEs() as es:
        pass
    values = {"ELASTICSEARCH_HOST": "127.0.0.1", "ELASTICSEARCH_PORT": str(es.port)}
    began = time.monotonic()
    statuses = check_roles(Settings.from_env(values)).statuses
    assert time.monotonic() - began < 5
    [found] = [status for status in statuses if status.role == "log index"]
    assert not found.ok
    assert f"127.0.0.1:{es.port}" in found.detail
