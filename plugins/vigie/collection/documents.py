"""From a line to its documents: one in the raw index, and at most one in each of the other two."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from vigie.api_log.line import ApiLogEntry, parse
from vigie.collection.filtering import LineFilter
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.dead_letters.letters import line_to_bytes
from vigie.encoding import clean, digest, iso_utc
from vigie.errors import DataError
from vigie.records import Document, IndexSpec

_SKEW = timedelta(hours=24)  # event and collection further apart: a wrong clock, or a long outage


@dataclass(frozen=True, slots=True)
class LineDocuments:
    """What becomes of one line.

    Without ``error``, a document that is None means that the line was filtered out of that index;
    with it, the line belongs to the dead letters (and still to the raw index, which keeps all).
    """

    line: str
    offset: int
    raw: Document
    message: Document | None = None
    perfs: Document | None = None
    error: str | None = None


def to_documents(
    line: str, *, source: str, offset: int, ingested_at: datetime, line_filter: LineFilter
) -> LineDocuments:
    """Sort one line; never raises, whatever the line holds.

    Ids depend on the source and the line (raw) or the transaction (the others), never on the clock
    or the offset: collecting a line again, from wherever, writes nothing new.
    """
    now = iso_utc(ingested_at)
    origin = {"ingested_at": now, "source": source, "source_offset": offset}
    values: dict[str, Any] = {"@timestamp": now, **origin, **_original(line)}
    raw_id = digest(source, line)
    wanted = message = has_perfs = False
    error = None
    try:
        entry = parse(line)
        values |= _fields(entry, ingested_at)
        wanted = line_filter.matches(entry)
        has_perfs = wanted and _has_perfs(entry)
        message = wanted and _has_message(entry)
    except DataError as exc:
        error = values["parse_error"] = str(exc)
    key = digest(source, values["transaction_id"]) if values.get("transaction_id") else raw_id
    return LineDocuments(
        line,
        offset,
        _document(RAW, raw_id, values),
        _document(MESSAGE, key, values) if message and not error else None,
        _document(PERFS, key, values) if has_perfs and not error else None,
        error,
    )


def _original(line: str) -> dict[str, str]:
    """Keep the line, and its bytes if a store cannot hold it as it is (NUL, undecodable bytes)."""
    if clean(line) == line:
        return {"raw_log": line}
    return {"raw_log": line, "raw_b64": base64.b64encode(line_to_bytes(line)).decode("ascii")}


def _fields(entry: ApiLogEntry, ingested_at: datetime) -> dict[str, Any]:
    names = (RAW.fields.keys() & ApiLogEntry.__dataclass_fields__.keys()) - {"extra"}
    fields: dict[str, Any] = {name: getattr(entry, name) for name in sorted(names)}
    fields["@timestamp"] = iso_utc(entry.timestamp)
    if entry.extra:
        fields["extra"] = entry.extra
    if abs(ingested_at - entry.timestamp) > _SKEW:
        fields["clock_skew"] = True
    return fields


def _document(spec: IndexSpec, document_id: str, values: Mapping[str, Any]) -> Document:
    """Keep the fields of the index that are known; unknown is absent, never null."""
    body = {name: values[name] for name in spec.fields if values.get(name) is not None}
    return Document(document_id, clean(body))


def _has_perfs(entry: ApiLogEntry) -> bool:
    return entry.status_code is not None and entry.execution_time_ms is not None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_message(entry: ApiLogEntry) -> bool:
    """Say whether an entry has input and result (a refused call has none).

    Raises
    ------
    DataError
        The result is not a prediction with a probability from 0 to 1.
    """
    if entry.input_data is None or entry.result is None:
        return False
    label, probability = entry.result.get("prediction"), entry.result.get("probability")
    if not isinstance(label, str) or not label:
        raise DataError(f"Result: expected a label under 'prediction', found {label!r}")
    if not _is_number(probability) or not 0 <= probability <= 1:
        raise DataError(f"Result: expected a 'probability' from 0 to 1, found {probability!r}")
    return True
