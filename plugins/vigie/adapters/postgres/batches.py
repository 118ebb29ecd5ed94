"""Format of a stored batch of messages: a JSON header and raw bytes, compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import orjson

from vigie.encoding import dumps
from vigie.records import Message

#: Limits of a batch, because readers decode whole batches. A line above MAX_BYTES is one batch.
MAX_LINES = 1000
MAX_BYTES = 1 << 20
_HEADER_SIZE = 4


def split(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Split messages into batches within the limits, in order."""
    start = size = 0
    for at, message in enumerate(messages):
        full = at - start == MAX_LINES or size + len(message.value) > MAX_BYTES
        if full and at > start:
            yield messages[start:at]
            start, size = at, 0
        size += len(message.value)
    if start < len(messages):
        yield messages[start:]


def pack(messages: Sequence[Message]) -> bytes:
    r"""Encode a batch of messages, whose values may contain any bytes.

    Examples
    --------
    >>> unpack(pack([Message(b"\x00\xff\n", {"source": "app.log"}), Message(b"")]))
    [(b'\x00\xff\n', {'source': 'app.log'}), (b'', {})]
    """
    headers = [message.headers for message in messages]
    header = dumps([[len(m.value) for m in messages], headers if any(headers) else []])
    body = [len(header).to_bytes(_HEADER_SIZE, "big"), header, *(m.value for m in messages)]
    return zlib.compress(b"".join(body), level=1)


def unpack(payload: bytes) -> list[tuple[bytes, Mapping[str, str]]]:
    """Decode a batch into values and headers."""
    raw = zlib.decompress(payload)
    start = _HEADER_SIZE + int.from_bytes(raw[:_HEADER_SIZE], "big")
    sizes, headers = orjson.loads(raw[_HEADER_SIZE:start])
    messages: list[tuple[bytes, Mapping[str, str]]] = []
    for at, size in enumerate(sizes):
        messages.append((raw[start : start + size], headers[at] if headers else {}))
        start += size
    return messages
