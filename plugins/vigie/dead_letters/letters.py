"""Dead letters: records that could not be processed, with their original bytes and the reason."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vigie.encoding import digest, iso_utc
from vigie.records import MAX_LINE, Document, IndexSpec

SCHEMA_VERSION = 1
API_LOG = "api_log"
STREAM = "stream"
DEAD_LETTERS = IndexSpec(
    "vigie-dead-letters",
    {
        "@timestamp": "date",  # when processing failed
        "source_kind": "keyword",  # api_log, stream
        "source": "keyword",
        "source_partition": "integer",
        "source_offset": "long",
        "target_index": "keyword",
        "error_type": "keyword",
        "reason": "text",
        "original_b64": "text",
        "schema_version": "integer",
        "extra": "flattened",
    },
)
_REASON_LIMIT = 2_000  # characters; the error of a store may quote the whole document
#: Producers choose the headers; without limits the index could refuse the dead letter.
_HEADERS, _NAME_LIMIT, _VALUE_LIMIT = 50, 200, 1_000
#: Sizes, in bytes, to which the original is truncated in turn until a dead letter is accepted.
TRUNCATED_SIZES = (MAX_LINE, 16 * 1024, 1024, 0)
_OWN_HEADERS = frozenset({"source", "line_id", "sha256", "original_length"})


def dead_letter(
    original: bytes,
    *,
    source_kind: str,
    source: str,
    offset: int,
    partition: int | None = None,
    target_index: str,
    error_type: str,
    reason: str,
    at: datetime,
    extra: Mapping[str, Any] | None = None,
) -> Document:
    """Return the dead letter of a record with the bytes ``original``.

    The id is a digest of the source kind, source, target index and bytes, so that a repeated
    failure is stored once. ``target_index`` is the index to which the record would have been
    written. ``error_type`` and ``reason`` describe the error that the index or the parser reported.
    """
    body: dict[str, Any] = {
        "@timestamp": iso_utc(at),
        "source_kind": source_kind,
        "source": source,
        "source_offset": offset,
        "target_index": target_index,
        "error_type": error_type,
        "reason": reason[:_REASON_LIMIT],
        "original_b64": base64.b64encode(original).decode("ascii"),
        "schema_version": SCHEMA_VERSION,
    }
    if partition is not None:
        body["source_partition"] = partition
    if extra:
        body["extra"] = dict(extra)
    return Document(digest(source_kind, source, target_index, original), body)


def kept_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the headers of a record, limited in number and length.

    Headers that vigie wrote have priority. If the limits changed anything, ``headers_cut`` is True.

    Examples
    --------
    >>> kept_headers({"k": "v"}), kept_headers({"k" * 201: "v" * 2000})["headers_cut"]
    ({'headers': {'k': 'v'}}, True)
    """
    first = sorted(headers.items(), key=lambda header: header[0] not in _OWN_HEADERS)[:_HEADERS]
    kept = {name[:_NAME_LIMIT]: value[:_VALUE_LIMIT] for name, value in first}
    return {"headers": kept} if kept == dict(headers) else {"headers": kept, "headers_cut": True}


def truncate(letter: Document, size: int) -> Document:
    """Return a copy of a dead letter with only the first ``size`` bytes of the original.

    The field ``extra`` of the copy contains the length and the SHA-256 of the whole original.

    Examples
    --------
    >>> letter = Document("1", {"original_b64": "YWJj", "extra": {"topic": "t"}})
    >>> body = truncate(letter, 2).body
    >>> original_bytes(body), body["extra"]["original_length"], is_truncated(body)
    (b'ab', 3, True)
    """
    original = original_bytes(letter.body)
    whole = {"original_length": len(original), "sha256": hashlib.sha256(original).hexdigest()}
    return Document(
        letter.id,
        {
            **letter.body,
            "original_b64": base64.b64encode(original[:size]).decode("ascii"),
            "extra": {**letter.body.get("extra", {}), **whole},
        },
    )


def is_truncated(body: Mapping[str, Any]) -> bool:
    """Return whether a dead letter is a copy that :func:`truncate` returned."""
    return "original_length" in body.get("extra", {})


def original_bytes(body: Mapping[str, Any]) -> bytes:
    """Decode the original bytes in a dead letter."""
    return base64.b64decode(body["original_b64"])


def line_to_bytes(line: str) -> bytes:
    """Encode a line as UTF-8; convert surrogates of ``surrogateescape`` to their bytes.

    If the line contains other surrogates, encode all surrogates with ``surrogatepass``.
    """
    try:
        return line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogatepass")


def bytes_to_line(raw: bytes) -> str:
    """Decode a line that :func:`line_to_bytes` encoded without ``surrogatepass``."""
    return raw.decode("utf-8", "surrogateescape")
