"""The contract of the stream, on the fake and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.testing.contracts import stream, stream_faults, stream_groups
from vigie.testing.contracts.stream import StreamSubject

_CHECKS = [*stream.CHECKS, *stream_groups.CHECKS, *stream_faults.CHECKS]


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_stream(check: Callable[[StreamSubject], None], stream_subject: StreamSubject) -> None:
    check(stream_subject)
