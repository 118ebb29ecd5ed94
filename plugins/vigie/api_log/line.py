"""The API log line: rendered by serving, parsed by the collector, side by side so that they agree.

::

    TIMESTAMP - LOGGER - LEVEL - [TRANSACTION] API Call - POST /predict - Status: 200
      - Execution Time: 12.345 ms - CPU: 3.1 % - Memory: 210.5 MB - Model: NAME v3
      - Input: {json} - Result: {json}                                  (one line)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vigie.api_log.segments import SEGMENTS, read_unknown
from vigie.encoding import dumps, iso_utc
from vigie.errors import DataError
from vigie.records import Prediction

LOGGER = "vigie.api"
_LINE_BREAKS = re.compile(
    "[\x85\u2028\u2029]"
)  # what splitlines() cuts at and JSON leaves as it is
_HEAD = re.compile(
    r"\ufeff?(?P<timestamp>\d{4}\S+(?: [\d:.,]+)?) - (?P<logger>\S+) - (?P<level>[A-Za-z]+) - "
    r"(?P<message>.*)",
    re.DOTALL,
)
_CALL = re.compile(
    r"(?:\[(?P<transaction>[^\[\]\s]+)\] )?API Call - (?P<method>[A-Z]+) (?P<path>/\S*)"
)
_KEY = re.compile(r"(?: -)? (?P<key>[A-Z][A-Za-z ]*): ")


@dataclass(frozen=True, slots=True)
class ApiLogEntry:
    """A parsed line; what the line does not carry is None."""

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
    extra: Mapping[str, str] = field(
        default_factory=dict
    )  # segments that this version does not know

    def to_prediction(self) -> Prediction:
        """Return the event that the line tells of. Raises DataError if a part of it is missing."""
        try:
            return Prediction(
                transaction_id=_present(self.transaction_id),
                model=_present(self.model),
                model_version=_present(self.model_version),
                features=_present(self.input_data),
                prediction=_present(self.result)["prediction"],
                probability=_present(self.result)["probability"],
                message=_present(self.result)["message"],
                created_at=self.timestamp,
                latency_ms=_present(self.execution_time_ms),
                cpu_percent=self.cpu_percent,
                memory_mb=self.memory_mb,
            )
        except KeyError as exc:
            raise DataError(f"the line does not tell of a whole prediction: no {exc}") from exc


def render(prediction: Prediction) -> str:
    """Return the log line of an answered prediction: one line, whatever the values hold.

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
    """Read a line; a line of another endpoint or logger is an entry without the call's fields.

    Raises
    ------
    DataError
        Saying what was expected, when the line has no timestamp, logger and level, or an API call
        is cut off or malformed.
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
        read = SEGMENTS.get(key["key"], read_unknown)
        values, position = read(key["key"], message, key.end())
        target = fields if read is not read_unknown else extra
        if target.keys() & values.keys():
            raise DataError(f"{key['key']} is told twice")
        target.update(values)
    return {**fields, "extra": extra}


def _timestamp(text: str) -> datetime:
    """Read an ISO 8601 instant; one without a zone is UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise DataError(f"expected an ISO 8601 timestamp, found {text[:40]!r}") from exc


def _one_line_json(value: Any) -> str:
    text = dumps(value).decode()
    return _LINE_BREAKS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _present(value: Any) -> Any:
    if value is None:
        raise KeyError("value")
    return value
