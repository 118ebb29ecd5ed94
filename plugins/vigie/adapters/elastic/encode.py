"""What a bulk request is made of: each document encoded once, in bounded chunks; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import orjson

from vigie.adapters.elastic.templates import ORDER
from vigie.encoding import clean, dumps
from vigie.errors import DataError
from vigie.index_mapping import MAX_ID_BYTES
from vigie.records import Document, Rejection

#: Elasticsearch's advice is 5 to 15 MB a request; a thousand documents keep the answer small.
MAX_BYTES = 5 << 20
MAX_COUNT = 1000
_OPTION = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


class Entry(NamedTuple):
    """One item of a bulk request."""

    id: str  # as the caller wrote it
    lines: bytes


def encode(document: Document) -> Entry | Rejection:
    """Return the two lines that create a document, or why it cannot be sent.

    What needs no cleaning (nearly everything) is encoded directly; the result is the same.
    """
    key = document.id
    if not key.isascii() or "\x00" in key:
        key = clean(key)
    if not 0 < len(key) <= MAX_ID_BYTES or len(key.encode()) > MAX_ID_BYTES:
        reason = f"_id must have 1 to {MAX_ID_BYTES} bytes, not {len(key.encode())}"
        return Rejection(document.id, "illegal_argument_exception", reason)
    if ORDER in document.body:
        reason = f"mapping set to strict, dynamic introduction of [{ORDER}] is not allowed"
        return Rejection(document.id, "strict_dynamic_mapping_exception", reason)
    try:
        source = _source(document)
    except (DataError, RecursionError) as exc:
        return Rejection(document.id, "document_parsing_exception", str(exc))
    order = orjson.dumps(f"{_below_millisecond(document):03d}{key}")
    comma = b"," if len(source) > 2 else b""
    return Entry(
        document.id,
        b'{"create":{"_id":%b}}\n%b%b"vigie_order":%b}\n'
        % (orjson.dumps(key), source[:-1], comma, order),
    )


def _source(document: Document) -> bytes:
    try:
        encoded = orjson.dumps(document.body, option=_OPTION)
    except (TypeError, ValueError):  # lone surrogates, odd keys, other mappings
        return dumps(document.body)
    return dumps(document.body) if b"\\u0000" in encoded else encoded


def _below_millisecond(document: Document) -> int:
    """Return the microseconds that Elasticsearch's ``date`` does not keep."""
    at = document.body.get("@timestamp")
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return 0  # the server says what is wrong with it
    return at.microsecond % 1000 if isinstance(at, datetime) else 0


def encoded(documents: Iterable[Document], rejected: list[Rejection]) -> Iterator[Entry]:
    """Yield what can be sent; add what cannot to ``rejected``."""
    for document in documents:
        entry = encode(document)
        if isinstance(entry, Entry):
            yield entry
        else:
            rejected.append(entry)


def deletions(ids: Iterable[str]) -> Iterator[Entry]:
    """Yield the lines that delete documents; an id that cannot exist is left out."""
    for key in map(clean, ids):
        if 0 < len(key.encode()) <= MAX_ID_BYTES:
            yield Entry(key, b'{"delete":{"_id":%b}}\n' % orjson.dumps(key))


def chunks(
    entries: Iterable[Entry], max_bytes: int = MAX_BYTES, max_count: int = MAX_COUNT
) -> Iterator[list[Entry]]:
    """Cut entries into requests within both bounds, in order; a larger entry goes alone.

    Examples
    --------
    >>> sizes = [Entry(str(n), b"x" * n) for n in (4, 4, 4, 30, 1)]
    >>> [[entry.id for entry in chunk] for chunk in chunks(sizes, max_bytes=10)]
    [['4', '4'], ['4'], ['30'], ['1']]
    """
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        if chunk and (size + len(entry.lines) > max_bytes or len(chunk) == max_count):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry.lines)
    if chunk:
        yield chunk
