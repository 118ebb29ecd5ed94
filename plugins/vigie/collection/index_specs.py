"""The indices of the API log: the fields that the source document lists, and our own beside them.

Top level strict, ``input_data``, ``result`` and ``extra`` flattened: a new feature or a stray key
never changes a mapping. ``@timestamp`` is when it happened, ``ingested_at`` when it was collected.
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
        "raw_b64": "text",  # only when the line holds what no store takes
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
    """Return the three indices; the raw one's name is a setting (``ELASTICSEARCH_INDEX``)."""
    return replace(RAW, name=raw_index), MESSAGE, PERFS
