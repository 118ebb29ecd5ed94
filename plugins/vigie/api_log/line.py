"""Render and parse the API log line.

::

    TIMESTAMP - LOGGER - LEVEL - [TRANSACTION] API Call - POST /predict - Status: 200
      - Execution Time: 12.345 ms - CPU: 3.1 % - Memory: 210.5 MB - Model: NAME v3
      - Input: {json} - Result: {json}                                  (one line)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vigie.encoding import dumps, iso_utc
from vigie.errors import DataError
from vigie.records import Prediction

LOGGER = "vigie.api"
#: Line breaks that ``str.splitlines`` recognises and JSON does not escape.
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")
_HEAD = re.compile(
    r"\ufeff?(?P<timestamp>\d{4}\S+(?: [\d:.,]+)?) - (?P<logger>\S+) - (?P<level>[A-Za-z]+) - "
    r"(?P<message>.*)",
    re.DOTALL,
)
_CALL = re.compile(
    r"(?:\[(?P<transaction>[^\[\]\s]+)\] )?API Call - (?P<method>[A-Z]+) (?P<path>/\S*)"
)
_KEY = re.compile(r"(?: -)? (?P<key>[A-Z][A-Za-z ]*): ")
_PLAIN = re.compile(r"(?:(?! - ).)*", re.DOTALL)
_MODEL = re.compile(r"(\S+) v(\d{1,9})")


@dataclass(frozen=True, slots=True)
class ApiLogEntry:
    """A parsed line of the API log; absent fields are None, or empty in the case of ``extra``."""

    timestamp: datetime  # UTC, aware
    logger: str
    level: str
    message: str  # everything after the level
    transaction_id: str | None = None
    http_method: str | None = None
    http_path: str | None = None
    status_code: int | None = None
    execution_time_ms: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    model: str | None = None
    model_version: int | None = None
    input_data: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)  # segments with an unknown key

    def to_prediction(self) -> Prediction:
        """Return the prediction in the line; raise DataError if a required field is missing."""
        try:
            return Prediction(
                transaction_id=_required(self, "transaction_id"),
                model=_required(self, "model"),
                model_version=_required(self, "model_version"),
                features=_required(self, "input_data"),
                prediction=_required(self, "result")["prediction"],
                probability=_required(self, "result")["probability"],
                message=_required(self, "result")["message"],
                created_at=self.timestamp,
                latency_ms=_required(self, "execution_time_ms"),
                cpu_percent=self.cpu_percent,
                memory_mb=self.memory_mb,
            )
        except KeyError as exc:
            raise DataError(
                f"the line does not contain a complete prediction: {exc} is missing"
            ) from exc


def render(prediction: Prediction) -> str:
    """Return the log line of a prediction; escape line breaks in its input and result.

    Examples
    --------
    >>> at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    >>> line = render(Prediction("t1", "fraud", 3, {"V1": 0.5}, "NO", 0.1, "No fraud", at, 12.345))
    >>> for segment in line.split(" - "):
    ...     print(segment)
    2026-11-21T10:00:00.000000Z
    vigie.api
    INFO
    [t1] API Call
    POST /predict
    Status: 200
    Execution Time: 12.345 ms
    Model: fraud v3
    Input: {"V1":0.5}
    Result: {"prediction":"NO","probability":0.1,"message":"No fraud"}
    """
    p = prediction
    result = {"prediction": p.prediction, "probability": p.probability, "message": p.message}
    segments = [
        f"[{p.transaction_id}] API Call",
        "POST /predict",
        "Status: 200",
        f"Execution Time: {p.latency_ms!r} ms",
        *([] if p.cpu_percent is None else [f"CPU: {p.cpu_percent!r} %"]),
        *([] if p.memory_mb is None else [f"Memory: {p.memory_mb!r} MB"]),
        f"Model: {p.model} v{p.model_version}",
        f"Input: {_one_line_json(p.features)}",
        f"Result: {_one_line_json(result)}",
    ]
    return " - ".join([iso_utc(p.created_at), LOGGER, "INFO", *segments])


def parse(line: str) -> ApiLogEntry:
    """Parse a line of the API log.

    If the line does not describe an API call, the fields of the call are None.

    Raises
    ------
    DataError
        The line does not begin with a valid timestamp, a logger and a level, or a segment of its
        API call is malformed, for example truncated.
    """
    head = _HEAD.fullmatch(line.rstrip("\r\n"))
    if head is None:
        raise DataError("expected 'TIMESTAMP - LOGGER - LEVEL - MESSAGE'")
    message = head["message"]
    return ApiLogEntry(
        timestamp=_timestamp(head["timestamp"]),
        logger=head["logger"],
        level=head["level"].upper(),
        message=message,
        **_parse_call(message),
    )


def _parse_call(message: str) -> dict[str, Any]:
    call = _CALL.match(message)
    if call is None:
        return {}
    fields: dict[str, Any] = {
        "transaction_id": call["transaction"],
        "http_method": call["method"],
        "http_path": call["path"],
    }
    extra: dict[str, str] = {}
    position = call.end()
    while position < len(message):
        key = _KEY.match(message, position)
        if key is None:
            raise DataError(f"expected ' - KEY: VALUE' at {message[position : position + 40]!r}")
        read = _SEGMENTS.get(key["key"], _read_unknown)
        values, position = read(key["key"], message, key.end())
        target = fields if read is not _read_unknown else extra
        if target.keys() & values.keys():
            raise DataError(f"{key['key']} occurs twice")
        target.update(values)
    return {**fields, "extra": extra}


def _timestamp(text: str) -> datetime:
    """Parse an ISO 8601 timestamp; assume UTC if it has no zone."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise DataError(f"expected an ISO 8601 timestamp, found {text[:40]!r}") from exc


def _one_line_json(value: Any) -> str:
    text = dumps(value).decode()
    return _LINE_BREAKS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _required(entry: ApiLogEntry, name: str) -> Any:
    value = getattr(entry, name)
    if value is None:
        raise KeyError(name)
    return value


#: Reads the value of a key at a position of a message; returns the fields and the end position.
_Reader = Callable[[str, str, int], tuple[dict[str, Any], int]]


def _read_number(name: str, unit: str, convert: Callable[[str], float] = float) -> _Reader:
    number = re.compile(r"(-?[0-9][0-9.eE+-]{0,30})" + (f" ?{re.escape(unit)}" if unit else ""))

    def read(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
        found = number.match(message, position)
        try:
            value = convert(found[1]) if found else math.nan
        except ValueError:
            value = math.nan
        if found is None or not math.isfinite(value):
            expected = f"a number in {unit}" if unit else "an integer"
            raise DataError(
                f"{key}: expected {expected}, found {message[position : position + 20]!r}"
            )
        return {name: value}, found.end()

    return read


def _read_json(name: str) -> _Reader:
    def read(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
        try:
            value, end = _DECODER.raw_decode(message, position)
        except (ValueError, RecursionError) as exc:
            raise DataError(f"{key}: not JSON, or truncated: {exc}") from exc
        if not isinstance(value, dict):
            raise DataError(f"{key}: expected a JSON object, found {type(value).__name__}")
        dumps(value)  # raises DataError for integers beyond 64 bits
        return {name: value}, end

    return read


def _read_model(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
    found = _MODEL.match(message, position)
    if found is None:
        raise DataError(f"{key}: expected 'NAME vN', found {message[position : position + 40]!r}")
    return {"model": found[1], "model_version": int(found[2])}, found.end()


def _read_unknown(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
    found = _PLAIN.match(message, position)
    return {key: found[0] if found else ""}, found.end() if found else position


_SEGMENTS: Mapping[str, _Reader] = {
    "Status": _read_number("status_code", "", int),
    "Execution Time": _read_number("execution_time_ms", "ms"),
    "CPU": _read_number("cpu_percent", "%"),
    "Memory": _read_number("memory_mb", "MB"),
    "Model": _read_model,
    "Input": _read_json("input_data"),
    "Result": _read_json("result"),
}


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
