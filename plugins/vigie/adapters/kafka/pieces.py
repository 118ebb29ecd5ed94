"""Taking messages from the library in pieces: of long lines fewer, so that they fit in memory."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError

from vigie.stored_records import MAX_POLL_BYTES

#: Taken at once, before their bytes are counted: 64 of the longest lines that we write are 16 MB.
PIECE = 64


def take(client: Consumer, messages: list[Any], wanted: int, wait_s: float) -> None:
    """Append up to ``wanted`` messages that arrive within ``wait_s``; fewer of long lines.

    The library does not tell how long the lines are that wait: asked for a thousand it hands out
    hundreds of megabytes, which a broker sent as one, compressed. What is appended when an error
    is raised was taken.
    """
    until, n_bytes = time.monotonic() + wait_s, 0
    while wanted > 0 and n_bytes < MAX_POLL_BYTES:
        n = min(wanted, PIECE)
        piece = client.consume(n, timeout=max(until - time.monotonic(), 0.0))
        messages += piece
        if len(piece) < n:
            return
        n_bytes += sum(len(message.value() or b"") for message in piece)
        wanted -= n


def is_of_the_log(message: Any) -> bool:
    """Return whether a message is a line or the end of a partition, and no trouble."""
    error: KafkaError | None = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF
