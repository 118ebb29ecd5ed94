"""The contract of the log index, on the fake and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.roles import LogIndex
from vigie.testing.contracts import index, index_values


@pytest.mark.parametrize(
    "check", [*index.CHECKS, *index_values.CHECKS], ids=lambda check: check.__name__
)
def test_index(check: Callable[[LogIndex], None], log_index: LogIndex) -> None:
    check(log_index)
