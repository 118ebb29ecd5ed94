"""Behaviour that requires a real Elasticsearch: mappings, ordering, templates, disk blocks."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from support.prefixed_index import PrefixedIndex
from vigie.adapters.elastic.client import EsClient
from vigie.adapters.elastic.errors import DiskBlockedError
from vigie.adapters.elastic.index import EsIndex
from vigie.adapters.elastic.retry import Patience
from vigie.collection.index_specs import RAW, api_log_specs
from vigie.collection.maintain_indices import clear_indices
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import DataError, PermanentError
from vigie.local.check_probes import elasticsearch
from vigie.records import Document, IndexOutcome, IndexSpec
from vigie.settings import ElasticsearchSettings
from vigie.testing import FakeServices

SPEC = IndexSpec(
    "facts", {"@timestamp": "date", "AGE": "integer", "key": "keyword", "extra": "flattened"}
)


@pytest.fixture
def raw(elasticsearch_url: str) -> Iterator[EsClient]:
    """Return a client for requests outside the adapter."""
    client = EsClient(elasticsearch_url)
    yield client
    client.close()


def test_check_shows_version_and_cluster(elasticsearch_url: str) -> None:
    settings = ElasticsearchSettings.model_validate({"ELASTICSEARCH_HOST": elasticsearch_url})
    assert elasticsearch(settings).startswith(("Elasticsearch 8.", "Elasticsearch 9."))


def test_one_malformed_document_of_five_hundred_is_rejected(es_index: PrefixedIndex) -> None:
    es_index.ensure(SPEC)
    documents = [Document(str(i), {"AGE": i}) for i in range(499)]
    documents.insert(250, Document("bad", {"AGE": "sixty"}))
    outcome = es_index.create("facts", documents)
    assert (outcome.created, outcome.already_there, len(outcome.rejected)) == (499, 0, 1)
    assert outcome.rejected[0].kind == "document_parsing_exception"
    assert es_index.create("facts", documents).already_there == 499
    assert es_index.count("facts") == 499


def test_unknown_keys_add_no_field(es_index: PrefixedIndex) -> None:
    es_index.ensure(SPEC)
    before = es_index.fields("facts")
    inside = [Document(f"i{i}", {"extra": {secrets.token_hex(8): i}}) for i in range(1000)]
    on_top = [Document(f"t{i}", {secrets.token_hex(8): i}) for i in range(1000)]
    assert es_index.create("facts", inside) == IndexOutcome(1000, 0)
    assert len(es_index.create("facts", on_top).rejected) == 1000
    assert es_index.fields("facts") == before


def test_a_long_keyword_is_stored(es_index: PrefixedIndex) -> None:
    es_index.ensure(SPEC)
    for immense in ("k" * 40_000, "é" * 40_000, "😀" * 20_000):
        body = {"key": immense, "extra": {"a": immense}}
        assert es_index.create("facts", [Document(immense[:50], body)]) == IndexOutcome(1, 0)
        assert es_index.get("facts", immense[:50]) == body


def test_documents_of_the_same_time_are_ordered_by_id_over_several_pages(
    es_index: PrefixedIndex, elasticsearch_url: str
) -> None:
    es_index.ensure(SPEC)
    times = [f"2026-11-21T12:00:00.{micros:06}Z" for micros in (1, 2, 999, 1000)]
    numbers = list(range(4000))
    random.Random(5).shuffle(numbers)
    es_index.create(
        "facts", [Document(f"d{n:05}", {"@timestamp": times[n % 4], "AGE": n}) for n in numbers]
    )
    small = EsIndex(elasticsearch_url, page=97)
    found = [(d.body["@timestamp"], d.id) for d in small.scan(f"{es_index.prefix}facts")]
    small.close()
    assert len(found) == 4000
    assert found == sorted(found)


def test_documents_of_other_programs_are_read_too(es_index: PrefixedIndex, raw: EsClient) -> None:
    name = f"{es_index.prefix}facts"
    raw.request("PUT", f"/{name}", {"mappings": {"properties": {"AGE": {"type": "integer"}}}})
    for i in range(25):
        raw.request("PUT", f"/{name}/_doc/{i}", {"AGE": i, "theirs": "x"})
    es_index.ensure(SPEC)
    es_index.create("facts", [Document("ours", {"AGE": 1})])
    assert es_index.count("facts") == 26
    assert {d.id for d in es_index.scan("facts")} == {"ours", *map(str, range(25))}
    assert es_index.get("facts", "3") == {"AGE": 3, "theirs": "x"}
    stray = es_index.create("facts", [Document("2nd", {"stray": 1})])
    assert [r.kind for r in stray.rejected] == ["strict_dynamic_mapping_exception"]


def test_a_write_does_not_recreate_a_deleted_index(es_index: PrefixedIndex, raw: EsClient) -> None:
    es_index.ensure(SPEC)
    raw.request("DELETE", f"/{es_index.prefix}facts")
    with pytest.raises(DataError, match="index_not_found"):
        es_index.create("facts", [Document("1", {})])
    assert es_index.fields("facts") is None


def test_an_index_that_accepts_no_document_is_an_error_without_dead_letters(
    es_index: PrefixedIndex, raw: EsClient
) -> None:
    es_index.ensure(SPEC)
    name = f"{es_index.prefix}facts"
    raw.request("POST", f"/{name}/_close")
    with pytest.raises(PermanentError, match=r"index_closed_exception.*_open") as closed:
        es_index.create("facts", [Document("1", {})])
    raw.request("POST", f"/{name}/_open")
    raw.request("PUT", f"/{name}/_settings", {"index.default_pipeline": "gone"})
    with pytest.raises(PermanentError, match=r"pipeline with id \[gone\] does not exist") as piped:
        es_index.create("facts", [Document("1", {})])
    assert not isinstance(closed.value, DataError)
    assert not isinstance(piped.value, DataError)
    raw.request("PUT", f"/{name}/_settings", {"index.default_pipeline": None})
    assert es_index.create("facts", [Document("1", {})]) == IndexOutcome(1, 0)


def test_an_alias_of_two_indices_is_an_error_without_dead_letters(
    es_index: PrefixedIndex, raw: EsClient
) -> None:
    """An alias without a write index replaces the index."""
    names = [f"{es_index.prefix}facts-{n}" for n in (1, 2)]
    for name in names:
        raw.request("PUT", f"/{name}", {"aliases": {f"{es_index.prefix}facts": {}}})
    try:
        with pytest.raises(PermanentError, match=r"no write index .* alias"):
            es_index.create("facts", [Document("1", {})])
    finally:
        for name in names:
            raw.request("DELETE", f"/{name}")


def test_one_node_is_green(es_index: PrefixedIndex, raw: EsClient) -> None:
    es_index.ensure(SPEC)
    path = f"/_cluster/health/{es_index.prefix}facts"
    health = raw.request("GET", path, params={"wait_for_status": "green", "timeout": "10s"})
    assert health["status"] == "green"


def test_the_indices_are_created_as_specified(es_index: PrefixedIndex) -> None:
    for spec in (*api_log_specs(), DEAD_LETTERS):
        es_index.ensure(spec)
        assert es_index.fields(spec.name) == dict(spec.fields)


def test_confirmed_documents_are_visible_at_once(es_index: PrefixedIndex) -> None:
    es_index.ensure(SPEC)
    for n in range(1, 6):
        es_index.create("facts", [Document(str(n), {"AGE": n})])
        assert es_index.count("facts") == n
        assert len(list(es_index.scan("facts"))) == n


def test_a_full_disk_is_retried_and_reported(
    es_index: PrefixedIndex, raw: EsClient, elasticsearch_url: str
) -> None:
    """The test sets and removes the block that a server sets at its flood stage."""
    es_index.ensure(SPEC)
    name, block = f"{es_index.prefix}facts", {"index.blocks.read_only_allow_delete": True}
    raw.request("PUT", f"/{name}/_settings", block)
    hasty = EsIndex(elasticsearch_url, patience=Patience(disk_s=0.5))
    with closing(hasty), pytest.raises(DiskBlockedError, match="free disk space"):
        hasty.create(name, [Document("1", {})])
    free = {"index.blocks.read_only_allow_delete": None}
    freeing = threading.Timer(1.0, lambda: raw.request("PUT", f"/{name}/_settings", free))
    freeing.start()
    try:
        assert es_index.create("facts", [Document("1", {})]) == IndexOutcome(1, 0)
    finally:
        freeing.join()


def test_clearing_a_real_cluster_requires_its_name(
    services: FakeServices, elasticsearch_url: str
) -> None:
    index = EsIndex(elasticsearch_url)
    services.index = index  # type: ignore[assignment]
    mine = f"t-{secrets.token_hex(4)}-{RAW.name}"
    with pytest.raises(PermanentError, match=f"--expect-cluster {index.cluster_name()}"):
        clear_indices(services, confirmed=True, raw_index=mine)
    with pytest.raises(PermanentError, match="not on 'other'"):
        clear_indices(services, confirmed=True, expect_cluster="other", raw_index=mine)
    index.close()
