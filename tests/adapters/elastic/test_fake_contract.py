"""The contract of the log index on the Elasticsearch adapter with a fake server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.fake_es import FakeEs
from vigie.adapters.elastic.index import EsIndex
from vigie.roles import LogIndex
from vigie.testing.contracts import index, index_values


@pytest.fixture
def log_index() -> Iterator[LogIndex]:
    with FakeEs() as es:
        adapter = EsIndex(es.url)
        yield adapter
        adapter.close()


@pytest.mark.parametrize(
    "check", [*index.CHECKS, *index_values.CHECKS], ids=lambda check: check.__name__
)
def test_es_index(check: Callable[[LogIndex], None], log_index: LogIndex) -> None:
    check(log_index)
