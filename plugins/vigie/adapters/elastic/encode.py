"""Encode documents for bulk requests and split them into chunks of limited size."""

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

#: Elasticsearch recommends 5 to 15 MB per request; 1000 documents keep the response small.
MAX_BYTES = 5 << 20
MAX_COUNT = 1000
_OPTION = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


class Entry(NamedTuple):
    """One item of a bulk request."""

    id: str  # of a creation, as passed by the caller; of a deletion, the cleaned id
    lines: bytes


def encode(document: Document) -> Entry | Rejection:
    """Return the entry that creates a document, or a rejection if it cannot be sent."""
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
    """Encode the body; clean it first only if necessary, because cleaning is slow."""
    try:
        encoded = orjson.dumps(document.body, option=_OPTION)
    except (TypeError, ValueError):  # lone surrogates, keys that are not strings
        return dumps(document.body)
    return dumps(document.body) if b"\\u0000" in encoded else encoded


def _below_millisecond(document: Document) -> int:
    """Return the microseconds of ``@timestamp`` modulo 1000, as the index sorts by milliseconds."""
    at = document.body.get("@timestamp")
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return 0  # the server may accept the value, or rejects the document
    return at.microsecond % 1000 if isinstance(at, datetime) else 0


def encoded(documents: Iterable[Document], rejected: list[Rejection]) -> Iterator[Entry]:
    """Yield an entry per document, or append a rejection to ``rejected`` if there is none."""
    for document in documents:
        entry = encode(document)
        if isinstance(entry, Entry):
            yield entry
        else:
            rejected.append(entry)


def deletions(ids: Iterable[str]) -> Iterator[Entry]:
    """Yield an entry that deletes the document with each id; skip invalid ids."""
    for key in map(clean, ids):
        if 0 < len(key.encode()) <= MAX_ID_BYTES:
            yield Entry(key, b'{"delete":{"_id":%b}}\n' % orjson.dumps(key))


def chunks(
    entries: Iterable[Entry], max_bytes: int = MAX_BYTES, max_count: int = MAX_COUNT
) -> Iterator[list[Entry]]:
    """Split entries into chunks within both limits; an entry above ``max_bytes`` is one chunk.

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
