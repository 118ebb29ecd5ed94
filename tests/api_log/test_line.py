"""The API log line: parsing reverses rendering; other lines are entries or a DataError."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.api_log.line import ApiLogEntry, parse, render
from vigie.errors import DataError
from vigie.records import Prediction

AT = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
PREDICTION = Prediction(
    "5f1c", "fraud", 3, {"V1": 0.5, "kind": "a - b"}, "NO", 0.1, "No fraud", AT, 12.345, 3.1, 210.5
)

# Stored text contains no NUL and no lone surrogates (vigie.encoding.clean).
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), finite, texts)
positive = st.floats(min_value=0, max_value=1e12)
predictions = st.builds(
    Prediction,
    transaction_id=st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    model=st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True),
    model_version=st.integers(1, 999_999),
    features=st.dictionaries(texts, values, max_size=5),
    prediction=texts,
    probability=st.floats(0, 1),
    message=texts,
    created_at=st.datetimes(
        min_value=datetime(1000, 1, 1),  # noqa: DTZ001 - the strategy requires naive bounds
        timezones=st.just(UTC),
    ),
    latency_ms=positive,
    cpu_percent=st.none() | positive,
    memory_mb=st.none() | positive,
)


@given(predictions)
def test_parsing_returns_the_rendered_prediction(prediction: Prediction) -> None:
    assert parse(render(prediction)).to_prediction() == prediction


@given(predictions)
def test_a_rendered_prediction_is_one_line(prediction: Prediction) -> None:
    assert len(render(prediction).splitlines()) == 1


@given(st.binary(max_size=200))
def test_a_line_of_arbitrary_bytes_is_an_entry_or_a_data_error(raw: bytes) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(parse(raw.decode("utf-8", "surrogateescape")), ApiLogEntry)


@given(st.integers(0, 330), st.text(max_size=5))
def test_a_damaged_line_is_an_entry_or_a_data_error(position: int, patch: str) -> None:
    line = render(PREDICTION)
    with contextlib.suppress(DataError):
        parse(line[:position] + patch + line[position + len(patch) :])


def test_the_documented_fields_are_parsed() -> None:
    entry = parse(render(PREDICTION))
    assert (entry.level, entry.logger) == ("INFO", "vigie.api")
    assert (entry.http_method, entry.http_path, entry.status_code) == ("POST", "/predict", 200)
    assert (entry.execution_time_ms, entry.cpu_percent, entry.memory_mb) == (12.345, 3.1, 210.5)
    assert entry.message.startswith("[5f1c] API Call - POST /predict - Status: 200")


def test_a_json_value_may_contain_the_text_of_a_segment() -> None:
    tricky = replace(PREDICTION, features={"a": '} - Result: {"prediction":"YES"}'})
    assert parse(render(tricky)).to_prediction() == tricky


def test_segments_without_dashes_are_parsed() -> None:
    entry = parse(
        '2026-11-21 10:00:00,5 - api - info - API Call - POST /predict Input: {"a": 1} Result: {}'
    )
    assert (entry.input_data, entry.result, entry.level) == ({"a": 1}, {}, "INFO")


def test_unknown_segments_are_stored_in_extra() -> None:
    line = "2026-11-21T10:00:00Z - api - INFO - API Call - GET /health - Region: eu - Status: 200"
    assert parse(line).extra == {"Region": "eu"}


def test_lines_of_other_loggers_are_entries_without_a_call() -> None:
    entry = parse("2026-11-21T10:00:00Z - uvicorn - WARNING - started")
    assert (entry.message, entry.transaction_id, entry.http_method) == ("started", None, None)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-11-21T10:00:00Z", timedelta(0)),
        ("2026-11-21T10:00:00", timedelta(0)),
        ("2026-11-21 10:00:00,000", timedelta(0)),
        ("2026-11-21T12:00:00+02:00", timedelta(0)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC) - AT.replace(microsecond=0)),
    ],
)
def test_timestamps_are_converted_to_utc(text: str, offset: timedelta) -> None:
    assert parse(f"{text} - api - INFO - x").timestamp == AT.replace(microsecond=0) + offset


@pytest.mark.parametrize(
    ("tail", "complaint"),
    [
        ("Status: abc", "Status: expected an integer"),
        ("Execution Time: 12", "expected a number in ms"),
        ("Execution Time: 1e999 ms", "expected a number in ms"),
        ("Model: fraud", "expected 'NAME vN'"),
        ('Input: {"a": 1', "not JSON, or truncated"),
        ('Input: {"a": NaN}', "not a finite number"),
        ('Input: {"a": 1e999}', "not a finite number"),
        ('Input: {"a": 99999999999999999999}', "cannot encode the value as JSON"),
        ("Input: [1]", "expected a JSON object, found list"),
        ("Input: " + '{"a":' * 100_000, "not JSON, or truncated"),
        ("Status: 200 - Status: 500", "occurs twice"),
        ("Status: 200 trailing", "expected ' - KEY: VALUE'"),
    ],
)
def test_the_error_of_a_malformed_call_contains_the_expected_value(
    tail: str, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        parse(f"2026-11-21T10:00:00Z - api - INFO - [t] API Call - POST /predict - {tail}")


@pytest.mark.parametrize("line", ["", "no log line", "2026-13-45T10:00:00Z - api - INFO - x"])
def test_a_line_without_a_head_is_refused(line: str) -> None:
    with pytest.raises(DataError):
        parse(line)


def test_an_incomplete_entry_is_not_a_prediction() -> None:
    with pytest.raises(DataError, match="complete prediction"):
        parse("2026-11-21T10:00:00Z - api - INFO - x").to_prediction()
