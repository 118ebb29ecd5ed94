"""The contract of the log index on a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.prefixed_index import PrefixedIndex
from vigie.roles import LogIndex
from vigie.testing.contracts import index, index_values


@pytest.mark.parametrize(
    "check", [*index.CHECKS, *index_values.CHECKS], ids=lambda check: check.__name__
)
def test_es_index(check: Callable[[LogIndex], None], es_index: PrefixedIndex) -> None:
    check(es_index)
