"""The contract of replaying stream records, on the fake and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.roles import LogIndex
from vigie.testing import FakeServices
from vigie.testing.contracts import replays


@pytest.mark.parametrize("check", replays.CHECKS, ids=lambda check: check.__name__)
def test_replay(
    check: Callable[[FakeServices, LogIndex], None], services: FakeServices, log_index: LogIndex
) -> None:
    check(services, log_index)
