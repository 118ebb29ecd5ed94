"""The names of the three API log indices, and the type of each field.

The mapping of each index is strict. The fields ``input_data``, ``result`` and ``extra`` are
flattened, so a new feature or an unknown key does not change the mapping. ``ingested_at`` is the
time of the collection. ``@timestamp`` is the timestamp of the line, or the time of the collection
if the line cannot be parsed. The other fields of ``ApiLogEntry`` keep their names in the indices.
"""

from __future__ import annotations

from dataclasses import replace

from vigie.records import IndexSpec

_WHEN = {"@timestamp": "date", "ingested_at": "date", "clock_skew": "boolean"}
_ORIGIN = {"source": "keyword", "source_offset": "long"}
_CALL = {
    "transaction_id": "keyword",
    "http_method": "keyword",
    "http_path": "keyword",
    "status_code": "integer",
    "execution_time_ms": "float",
    "model": "keyword",
    "model_version": "integer",
}
_USAGE = {"cpu_percent": "float", "memory_mb": "float"}
_CONTENT = {"input_data": "flattened", "result": "flattened"}

RAW = IndexSpec(
    "ml-api-logs",
    {
        **_WHEN,
        **_ORIGIN,
        "level": "keyword",
        "logger": "keyword",
        "message": "text",
        "raw_log": "text",
        "raw_b64": "text",  # only if a store would change the line
        **_CALL,
        **_USAGE,
        **_CONTENT,
        "extra": "flattened",
        "parse_error": "text",
    },
)
MESSAGE = IndexSpec("ml-api-message", {**_WHEN, **_ORIGIN, **_CALL, **_CONTENT})
PERFS = IndexSpec("ml-api-perfs", {**_WHEN, **_ORIGIN, **_CALL, **_USAGE})


def api_log_specs(raw_index: str = RAW.name) -> tuple[IndexSpec, IndexSpec, IndexSpec]:
    """Return the specs of the three indices; the raw index has the name ``raw_index``."""
    return replace(RAW, name=raw_index), MESSAGE, PERFS
