"""Values that the strict mapping accepts and rejects, as in Elasticsearch."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.index_mapping import (
    NO_TIMESTAMP,
    check_document,
    parse_date,
    split_documents,
)
from vigie.records import Document

_TAKEN: list[tuple[str, Any]] = [
    ("date", "2026-11-21T10:00:00Z"),
    ("date", "2026-11-21T10:00:00.123456789Z"),
    ("date", "2026-11-21T10:00:00,5+02:00"),
    ("date", "2026-11-21"),
    ("date", 1795255200000),
    ("date", datetime(2026, 11, 21, tzinfo=UTC)),
    ("keyword", "x"),
    ("keyword", ["a", "b", None]),
    ("keyword", 7),
    ("keyword", True),
    ("text", "line\nline"),
    ("integer", -(2**31)),
    ("integer", "12"),
    ("integer", 12.5),
    ("long", 2**63 - 1),
    ("float", 1),
    ("float", "0.5"),
    ("float", float("nan")),
    ("boolean", False),
    ("boolean", "true"),
    ("flattened", {"a": {"b": [1]}}),
    ("flattened", [{"a": 1}, {"b": 2}]),
    ("integer", []),
]
_REFUSED: list[tuple[str, Any]] = [
    ("date", "yesterday"),
    ("date", ""),
    ("date", True),
    ("date", 10**18),
    ("date", {"at": "2026-11-21"}),
    ("keyword", {"a": 1}),
    ("text", [{"a": 1}]),
    ("integer", 2**31),
    ("integer", "sixty"),
    ("integer", "inf"),
    ("integer", True),
    ("integer", [1, "x"]),
    ("long", -(2**63) - 1),
    ("float", 1e39),
    ("float", "nan"),
    ("float", [[{}]]),
    ("boolean", 1),
    ("boolean", "yes"),
    ("flattened", "x"),
    ("flattened", 1),
]


@pytest.mark.parametrize("kind", ["date", "keyword", "text", "integer", "long", "float", "boolean"])
def test_every_type_accepts_null(kind: str) -> None:
    assert check_document({"f": kind}, Document("1", {"f": None})) is None


@pytest.mark.parametrize(("kind", "value"), _TAKEN)
def test_values_that_a_type_accepts(kind: str, value: Any) -> None:
    assert check_document({"f": kind}, Document("1", {"f": value})) is None


@pytest.mark.parametrize(("kind", "value"), _REFUSED)
def test_values_that_a_type_rejects(kind: str, value: Any) -> None:
    rejection = check_document({"f": kind}, Document("1", {"f": value}))
    assert rejection is not None
    assert rejection.kind == "document_parsing_exception"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
_kinds = st.sampled_from(["date", "keyword", "integer", "long", "float", "boolean", "flattened"])


@given(_kinds, _json)
def test_every_document_is_stored_or_rejected(kind: str, value: Any) -> None:
    rows, rejected = split_documents({"@timestamp": kind}, [Document("1", {"@timestamp": value})])
    assert len(rows) + len(rejected) == 1
    for row in rows:
        assert row.at.tzinfo is not None
        json.loads(row.body, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], [], None])
def test_a_document_with_an_unknown_time_is_ordered_first(value: Any) -> None:
    rows, rejected = split_documents({"@timestamp": "date"}, [Document("1", {"@timestamp": value})])
    assert [row.at for row in rows] == [NO_TIMESTAMP]
    assert rejected == ()


@pytest.mark.parametrize(
    "document",
    [
        Document("1", {"f": {"huge": 2**64}}),
        Document("1", {"f": _nested(5000)}),
        Document("1", {"f": {"object": object()}}),
        Document("", {}),
        Document("x" * 513, {}),
        Document("é" * 257, {}),
    ],
    ids=["huge", "deep", "object", "no id", "long id", "long id in bytes"],
)
def test_a_document_that_no_store_accepts_is_rejected_alone(document: Document) -> None:
    good = Document("x" * 512, {"f": _nested(100)})
    rows, rejected = split_documents({"f": "flattened"}, [document, good])
    assert [row.id for row in rows] == [good.id]
    assert [rejection.id for rejection in rejected] == [document.id]


def test_the_same_time_in_different_zones_is_equal() -> None:
    east = datetime(2026, 11, 21, 15, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert (
        parse_date(east) == parse_date("2026-11-21T10:00:00") == parse_date("2026-11-21T10:00:00Z")
    )


@pytest.mark.parametrize("body", [{}, {"@timestamp": None}, {"@timestamp": [[]]}])
def test_documents_without_a_time_are_ordered_first(body: dict[str, Any]) -> None:
    [row], _ = split_documents({"@timestamp": "date"}, [Document("1", body)])
    assert row.at == NO_TIMESTAMP


def test_a_timestamp_that_is_not_a_date_does_not_affect_the_order() -> None:
    [row], _ = split_documents({"@timestamp": "keyword"}, [Document("1", {"@timestamp": "noon"})])
    assert row.at == NO_TIMESTAMP
