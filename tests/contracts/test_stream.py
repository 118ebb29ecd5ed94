"""The contract of the stream, fake and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.testing.contracts import stream
from vigie.testing.contracts.stream import StreamSubject


@pytest.mark.parametrize("check", stream.CHECKS, ids=lambda check: check.__name__)
def test_stream(check: Callable[[StreamSubject], None], stream_subject: StreamSubject) -> None:
    check(stream_subject)
