"""Check documents against the strict mapping of a log index, as Elasticsearch does.

A field accepts None, a value of its type, or a list of such values. A numeric field accepts numbers
as text, which Elasticsearch converts, but no booleans.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vigie.encoding import clean, dumps
from vigie.errors import DataError
from vigie.records import Document, IndexSpec, Rejection

#: The sort key of documents without ``@timestamp``; these documents come first in time order.
NO_TIMESTAMP = datetime.min.replace(tzinfo=UTC)
#: The longest ``_id`` that Elasticsearch accepts.
MAX_ID_BYTES = 512


def parse_date(value: Any) -> datetime:
    """Parse a ``date`` value: ISO 8601 text, epoch milliseconds or a datetime.

    A value without a time zone is in UTC.

    Examples
    --------
    >>> parse_date("2026-11-21T11:00:00+01:00") == parse_date(1795255200000)
    True
    """
    if isinstance(value, bool) or not isinstance(value, str | int | datetime):
        raise ValueError("not a date")
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _is_whole(bits: int) -> Callable[[Any], bool]:
    """Return a check for numbers whose integer part fits in ``bits`` bits."""
    bound = 1 << (bits - 1)

    def check(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return False
        number = value if isinstance(value, int) else int(float(value))
        return -bound <= number < bound

    return check


def _is_float(value: Any) -> bool:
    return (
        not isinstance(value, bool)
        and isinstance(value, int | float | str)
        and abs(float(value)) <= 3.4028235677973366e38  # limit of a 32-bit float
    )


def _is_date(value: Any) -> bool:
    return bool(parse_date(value))


_ACCEPTS: dict[str, Callable[[Any], bool]] = {
    "date": _is_date,
    "keyword": lambda value: isinstance(value, str | bool | int | float | datetime),
    "text": lambda value: isinstance(value, str | bool | int | float | datetime),
    "integer": _is_whole(32),
    "long": _is_whole(64),
    "float": _is_float,
    "boolean": lambda value: isinstance(value, bool) or value in ("true", "false", ""),
    "flattened": lambda value: isinstance(value, Mapping),
}


def check_spec(spec: IndexSpec) -> None:
    """Raise DataError if a field has an unknown type."""
    for field, kind in spec.fields.items():
        if kind not in _ACCEPTS:
            raise DataError(
                f"index {spec.name!r}: field {field!r} has the type {kind!r}; "
                f"known types: {', '.join(_ACCEPTS)}"
            )


def extend_fields(
    name: str, existing: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the fields of ``existing``, extended by the missing fields of ``wanted``.

    Raises
    ------
    DataError
        A field has different types in ``existing`` and ``wanted``.
    """
    for field, kind in wanted.items():
        if existing.get(field, kind) != kind:
            raise DataError(
                f"index {name!r}: field {field!r} is {existing[field]!r}, not {kind!r}; "
                "delete the index or choose another name"
            )
    return {**wanted, **existing}


def check_document(fields: Mapping[str, str], document: Document) -> Rejection | None:
    """Return the rejection of a document, or None if the mapping accepts the document.

    Examples
    --------
    >>> check_document({"AGE": "integer"}, Document("1", {"AGE": "sixty"})).kind
    'document_parsing_exception'
    >>> check_document({"AGE": "integer"}, Document("1", {"AGE": [60, None]}))
    """
    for field, value in document.body.items():
        kind = fields.get(field)
        if kind is None:
            reason = f"mapping set to strict, dynamic introduction of [{field}] is not allowed"
            return Rejection(document.id, "strict_dynamic_mapping_exception", reason)
        if not _accepts(kind, value):
            reason = f"failed to parse field [{field}] of type [{kind}]: found {value!r:.120}"
            return Rejection(document.id, "document_parsing_exception", reason)
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """An accepted document in its stored form."""

    id: str
    at: datetime  # its @timestamp, or NO_TIMESTAMP
    body: bytes  # JSON


def split_documents(
    fields: Mapping[str, str], documents: Sequence[Document]
) -> tuple[list[Row], tuple[Rejection, ...]]:
    """Return the rows of the accepted documents, and a rejection for each other document.

    Examples
    --------
    >>> split_documents({"a": "flattened"}, [Document("1", {"a": {"b": 2**64}})])[1][0].kind
    'document_parsing_exception'
    """
    accepted: list[Row] = []
    rejected: list[Rejection] = []
    for document in documents:
        try:
            row = _row(fields, document)
        except (DataError, RecursionError) as exc:  # not encodable as JSON, or deeply nested
            row = Rejection(document.id, "document_parsing_exception", str(exc))
        if isinstance(row, Row):
            accepted.append(row)
        else:
            rejected.append(row)
    return accepted, tuple(rejected)


def _row(fields: Mapping[str, str], document: Document) -> Row | Rejection:
    key = clean(document.id)
    if not 0 < len(key.encode()) <= MAX_ID_BYTES:
        reason = f"_id must have 1 to {MAX_ID_BYTES} bytes, not {len(key.encode())}"
        return Rejection(document.id, "illegal_argument_exception", reason)
    rejection = check_document(fields, document)
    if rejection is not None:
        return rejection
    is_timed = fields.get("@timestamp") == "date"
    at = _sort_time(document.body.get("@timestamp")) if is_timed else NO_TIMESTAMP
    return Row(key, at, dumps(document.body))


def _accepts(kind: str, value: Any) -> bool:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return True  # The encoder writes None, NaN and infinities as null.
    if isinstance(value, list | tuple):
        return all(_accepts(kind, item) for item in value)
    try:
        return _ACCEPTS[kind](value)
    except (ValueError, OverflowError, OSError):
        return False


def _sort_time(value: Any) -> datetime:
    """Return the sort key of a ``@timestamp`` value; of a list, the key of the first value."""
    while isinstance(value, list | tuple):
        value = value[0] if value else None
    is_null = value is None or isinstance(value, float)  # an accepted float is NaN or infinite
    return NO_TIMESTAMP if is_null else parse_date(value)
