"""The ``KEY: VALUE`` segments of an API log line: one reader a key, each strict about its value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from vigie.encoding import dumps
from vigie.errors import DataError

_PLAIN = re.compile(r"(?:(?! - ).)*", re.DOTALL)
_MODEL = re.compile(r"(\S+) v(\d{1,9})")

# Takes (key, message, position); returns the fields found and the position after them.
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
            expected = f"a number in {unit}" if unit else "a number"
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
            raise DataError(f"{key}: not JSON, or cut off: {exc}") from exc
        if not isinstance(value, dict):
            raise DataError(f"{key}: expected a JSON object, found a {type(value).__name__}")
        dumps(value)  # refuses what no store can hold (integers beyond 64 bits)
        return {name: value}, end

    return read


def _read_model(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
    found = _MODEL.match(message, position)
    if found is None:
        raise DataError(f"{key}: expected 'NAME vN', found {message[position : position + 40]!r}")
    return {"model": found[1], "model_version": int(found[2])}, found.end()


def read_unknown(key: str, message: str, position: int) -> tuple[dict[str, Any], int]:
    found = _PLAIN.match(message, position)
    return {key: found[0] if found else ""}, found.end() if found else position


SEGMENTS: Mapping[str, _Reader] = {
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
