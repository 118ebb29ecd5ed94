"""Read a TOML table key by key; every problem is collected with its table, key and reason."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vigie.errors import DataError


class ModelFileError(DataError):
    """A model file is wrong; ``problems`` has one line a mistake: file, table, key, reason."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Table:
    """A TOML table that knows where it stands.

    A getter that finds a wrong value records the problem and returns a harmless one, so that a
    person sees all mistakes of a file at once; :meth:`finish` adds the keys that nobody asked for.

    Examples
    --------
    >>> table = Table({"type": "flaot", "mim": 1}, "models/x.toml", "features.age")
    >>> table.text("type", choices=("float", "integer"))
    ''
    >>> table.finish()
    >>> for problem in table.problems:
    ...     print(problem)
    models/x.toml: [features.age] type: expected one of float, integer, found "flaot"
    models/x.toml: [features.age] mim: unknown key; expected one of type
    """

    def __init__(
        self, values: Any, file: str, name: str = "", problems: list[str] | None = None
    ) -> None:
        self.file = file
        self.name = name
        self.problems: list[str] = [] if problems is None else problems
        self._asked: dict[str, None] = {}  # an ordered set
        self.values: Mapping[str, Any] = values if isinstance(values, dict) else {}
        if not isinstance(values, dict):
            self.problems.append(f"{file}: [{name}]: expected a table, found {show(values)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, key: str, reason: str) -> None:
        where = f"[{self.name}] " if self.name else ""
        self.problems.append(f"{self.file}: {where}{key}: {reason}")

    def table(self, key: str) -> Table:
        """Return a table below this one; an absent one is empty."""
        self._asked[key] = None
        name = f"{self.name}.{key}" if self.name else key
        return Table(self.values.get(key, {}), self.file, name, self.problems)

    def text(self, key: str, default: str | None = None, choices: Collection[str] = ()) -> str:
        value = self._get(key, "a text", default)
        if value is None:
            return ""
        if choices and (not isinstance(value, str) or value not in choices):
            self.refuse(key, f"expected one of {', '.join(choices)}, found {show(value)}")
        elif not isinstance(value, str) or not value.strip():
            self.refuse(key, f"expected a text that is not empty, found {show(value)}")
        else:
            return value
        return ""

    def optional_text(self, key: str, choices: Collection[str] = ()) -> str | None:
        return None if self._absent(key) else self.text(key, choices=choices)

    def texts(
        self, key: str, default: Collection[str] | None = None, choices: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Return a list of distinct texts, at least one (unless the default is empty)."""
        value = self._get(key, "a list of texts", default)
        if value is None or value is default:
            return tuple(value or ())
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            self.refuse(key, f"expected a list of texts, found {show(value)}")
            return ()
        if wrong := [v for v in value if choices and v not in choices]:
            self.refuse(key, f"expected some of {', '.join(choices)}, found {show(wrong[0])}")
        if len(set(value)) < len(value):
            self.refuse(key, f"expected each value once, found {show(value)}")
        return tuple(value)

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        above: float | None = None,
        below: float | None = None,
    ) -> float:
        """Return a finite number with ``low <= x <= high`` and ``above < x < below``."""
        wanted = "a number" + _range(low, high, above, below)
        value = self._get(key, wanted, default)
        if value is None:
            return 0.0
        inside = _is_number(value) and not (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        )
        if not inside:
            self.refuse(key, f"expected {wanted}, found {show(value)}")
            return 0.0
        return float(value)

    def optional_number(
        self, key: str, *, low: float | None = None, high: float | None = None
    ) -> float | None:
        return None if self._absent(key) else self.number(key, low=low, high=high)

    def whole(self, key: str, default: int | None = None, *, low: int = 0) -> int:
        value = self._get(key, f"a whole number of at least {low}", default)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            self.refuse(key, f"expected a whole number of at least {low}, found {show(value)}")
            return 0
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, "true or false", default)
        if not isinstance(value, bool):
            self.refuse(key, f"expected true or false, found {show(value)}")
        return value is True

    def finish(self) -> None:
        """Record every key that no getter asked for, with the closest known one."""
        for key in self.values:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, n=1)
                hint = (
                    f"did you mean {close[0]}?"
                    if close
                    else f"expected one of {', '.join(self._asked)}"
                )
                self.refuse(key, f"unknown key; {hint}")

    def _get(self, key: str, wanted: str, default: Any) -> Any:
        self._asked[key] = None
        if key in self.values:
            return self.values[key]
        if default is None:
            self.refuse(key, f"expected {wanted}, found nothing")
        return default

    def _absent(self, key: str) -> bool:
        """Tell whether an optional key is absent; either way it is a known one."""
        self._asked[key] = None
        return key not in self.values


def show(value: Any) -> str:
    """Return a value as TOML writes it, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < float("inf")  # NaN compares false


def _range(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    parts = [
        f"{word} {bound:g}"
        for word, bound in (
            ("of at least", low),
            ("of at most", high),
            ("above", above),
            ("below", below),
        )
        if bound is not None
    ]
    return " " + " and ".join(parts) if parts else ""
