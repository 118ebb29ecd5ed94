"""Read and validate model files; an error lists every mistake with its place."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from vigie.errors import DataError
from vigie.models.model_file import (
    NAME_KEY,
    PATH_KEY,
    Cost,
    Feature,
    Gate,
    ModelFile,
    Retrain,
    Training,
)
from vigie.models.names import METRICS

_TABLES: Mapping[object, type] = {
    "features": Feature,
    "accepted": Feature,
    "training": Training,
    "retrain": Retrain,
    "gate": Gate,
    "cost": Cost,
}
_EXPECTED = {  # pydantic's own messages name Python types
    "dataclass_type": "expected a table",
    "mapping_type": "expected a table",
    "tuple_type": "expected a list",
    "string_too_short": "expected text that is not empty",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
}


class ModelFileError(DataError):
    """An invalid model file; ``problems`` has one line per mistake: file, table, key, reason."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_model_file(path: Path) -> ModelFile:
    """Read and validate a model file.

    Raises
    ------
    ModelFileError
        If the file is invalid. The message has one line per mistake: file, table, key, and what
        was expected and found.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ModelFileError([f"{_shown(path)}: not valid TOML: {exc}"]) from exc
    except OSError as exc:
        raise ModelFileError([f"{_shown(path)}: cannot be read: {exc.strerror}"]) from exc
    return model_of(values, path)


def model_of(values: Mapping[str, Any], path: Path) -> ModelFile:
    """Validate the content of the model file at ``path``; return the model.

    The name of the model must be the name of the file without ``.toml``.

    Raises
    ------
    ModelFileError
        If the content is invalid; see :func:`load_model_file`.

    Examples
    --------
    >>> age = {"type": "flaot", "mim": 1}
    >>> labels = {"positive_label": "yes", "negative_label": "no"}
    >>> table = {"name": "x", "target": "ill", "reference": "x.csv", "features": {"age": age}}
    >>> try:
    ...     model_of(table | labels, Path("models/x.toml"))
    ... except ModelFileError as exc:
    ...     print(exc)
    models/x.toml: [features.age] type: expected 'float', 'integer', 'category' or 'boolean', \
found "flaot"
    models/x.toml: [features.age] mim: unknown key; did you mean min?
    """
    content = {"title": path.stem.replace("_", " "), "reference_share": 1.0, **values}
    for key in ("features", "accepted"):
        content[key] = _named(values.get(key, {}))
    try:
        model = _adapter().validate_python(content | {PATH_KEY: path}, context=path.stem)
    except ValidationError as exc:
        mistakes = exc.errors(include_url=False)
        raise ModelFileError([f"{_shown(path)}: {_line(m, values)}" for m in mistakes]) from exc
    if "performance_metric" in values.get("retrain", {}):
        return model
    retrain = dataclasses.replace(model.retrain, performance_metric=model.training.metric)
    return dataclasses.replace(model, retrain=retrain)


@cache
def _adapter() -> TypeAdapter[ModelFile]:
    return TypeAdapter(ModelFile)


def _named(tables: Any) -> Any:
    """Return the tables ``[features.NAME]`` as a list of tables that contain their names."""
    if not isinstance(tables, dict):
        return tables
    return [{NAME_KEY: n, **t} if isinstance(t, dict) else t for n, t in tables.items()]


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _line(mistake: ErrorDetails, values: Mapping[str, Any]) -> str:
    place = list(mistake["loc"])
    if len(place) > 1 and isinstance(place[1], int) and place[0] in ("features", "accepted"):
        place[1] = list(values[place[0]])[place[1]]
    is_key = place[-1] == "[key]"
    names = [str(p) for p in place if isinstance(p, str) and p not in ("[key]", NAME_KEY)]
    *table, key = names
    where = f"[{'.'.join(table)}] " if table else ""
    return f"{where}{key}: {_reason(mistake, place, key, is_key)}"


def _reason(mistake: ErrorDetails, place: list[Any], key: str, is_key: bool) -> str:
    if is_key:
        return _unknown(key, METRICS)
    if mistake["type"] == "unexpected_keyword_argument":
        owner = ModelFile if len(place) == 1 else _TABLES[place[0]]
        own = {"name", "path"} if owner is Feature else {"path"}
        return _unknown(key, [f.name for f in dataclasses.fields(owner) if f.name not in own])
    if mistake["type"] == "missing":
        return "expected a value, found nothing"
    value, reason = mistake["input"], mistake["msg"].replace("Input should be ", "expected ")
    reason = _EXPECTED.get(mistake["type"], reason)
    reason = reason.replace("expected less", "expected a number less")
    reason = reason.replace("expected greater", "expected a number greater")
    is_table = mistake["type"] == "refused" and isinstance(value, list | tuple)
    return reason if is_table else f"{reason}, found {_found(value)}"


def _unknown(key: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
    return f"unknown key; {hint}"


def _found(value: Any) -> str:
    """Return a value as JSON text, shortened to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
