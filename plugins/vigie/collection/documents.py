"""Convert an API log line to documents for the three indices."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vigie.api_log.line import ApiLogEntry, parse
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.dead_letters.letters import line_to_bytes
from vigie.encoding import clean, digest, iso_utc
from vigie.errors import DataError
from vigie.records import Document, IndexSpec

DEFAULT_PATTERN = "API Call - POST /predict"
_CALL = re.compile(r"\b(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (?P<path>/\S*)")
#: If the times of call and collection differ by more, the document has ``clock_skew``.
_SKEW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class LineFilter:
    """A filter that selects the API calls whose message contains ``pattern``.

    If the pattern contains an HTTP method and a path, only calls with exactly this method and path
    are selected.

    Examples
    --------
    >>> from vigie.api_log.line import parse
    >>> keep = LineFilter(DEFAULT_PATTERN)
    >>> head = "2026-11-21T10:00:00Z - api - INFO - [t] API Call - "
    >>> calls = "POST /predict", "POST /predict_batch", "GET /health"
    >>> [keep.matches(parse(head + call)) for call in calls]
    [True, False, False]
    """

    pattern: str

    def matches(self, entry: ApiLogEntry) -> bool:
        """Return whether an entry is selected; the empty pattern selects every API call."""
        if entry.http_method is None or self.pattern not in entry.message:
            return False
        call = _CALL.search(self.pattern)
        own = (entry.http_method, entry.http_path)
        return call is None or (call["method"], call["path"]) == own


@dataclass(frozen=True, slots=True)
class LineDocuments:
    """The documents of one API log line, one for each index that stores the line.

    If the line is malformed, ``error`` contains the reason. The line then becomes a dead letter and
    has a document in the raw index only. ``message`` and ``perfs`` are None if the filter does not
    select the line or if the line lacks the values that the index requires.
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
    """Parse one line and return its documents; if the line is malformed, set ``error``.

    The id of the raw document is a digest of the source and the line. The other documents have a
    digest of the source and the transaction id as id. If the line has no transaction id, they have
    the id of the raw document. A line that is collected again is therefore not stored twice.
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
        has_perfs = wanted and None not in (entry.status_code, entry.execution_time_ms)
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
    """Return the line; if a store would change it, also return its bytes in base64."""
    if clean(line) == line:
        return {"raw_log": line}
    return {"raw_log": line, "raw_b64": base64.b64encode(line_to_bytes(line)).decode("ascii")}


def _fields(entry: ApiLogEntry, ingested_at: datetime) -> dict[str, Any]:
    names = ApiLogEntry.__dataclass_fields__.keys() - {"extra"}
    fields: dict[str, Any] = {name: getattr(entry, name) for name in names}
    fields["@timestamp"] = iso_utc(entry.timestamp)
    if entry.extra:
        fields["extra"] = entry.extra
    if abs(ingested_at - entry.timestamp) > _SKEW:
        fields["clock_skew"] = True
    return fields


def _document(spec: IndexSpec, document_id: str, values: Mapping[str, Any]) -> Document:
    """Return a document with the fields of the index that have a value in ``values``."""
    body = {name: values[name] for name in spec.fields if values.get(name) is not None}
    return Document(document_id, clean(body))


def _has_message(entry: ApiLogEntry) -> bool:
    """Return whether an entry contains the input and the result of a prediction.

    A call that the API refused has no result.

    Raises
    ------
    DataError
        The result has no ``prediction``, or its probability is not a number from 0 to 1.
    """
    if entry.input_data is None or entry.result is None:
        return False
    label: Any = entry.result.get("prediction")
    probability: Any = entry.result.get("probability")
    if not isinstance(label, str) or not label:
        raise DataError(f"Result: expected a non-empty text under 'prediction', found {label!r}")
    if type(probability) not in (int, float) or not 0 <= probability <= 1:
        raise DataError(f"Result: expected a 'probability' from 0 to 1, found {probability!r}")
    return True
