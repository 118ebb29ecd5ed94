"""Build tables with the typed columns of a model, and split their rows by content."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError
from vigie.models.model_file import written

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from vigie.models.model_file import Feature, ModelFile


_JSON_TYPES = {"float": float, "integer": int, "boolean": bool, "category": str}


def frame_of(model: ModelFile, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a typed table with one row per request, in the model's feature order.

    A feature that a request omits is a missing value in its row. Keys that are not features are
    dropped.
    """
    import pandas as pd

    names = list(model.feature_names)
    return typed(model, pd.DataFrame([[r.get(n) for n in names] for r in rows], columns=names))


def plain(feature: Feature, value: Any) -> Any:
    """Return a cell of a typed table as a JSON value, or None if the cell is empty."""
    import pandas as pd

    return None if pd.isna(value) else _JSON_TYPES[feature.type](value)


def typed(model: ModelFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the feature columns with the types of the model file, then the other columns.

    ``float`` is float64. ``integer`` is int64 and ``boolean`` is bool, but a column with a missing
    value is float64. ``category`` is text, and a missing category is None.

    Raises
    ------
    DataError
        If a column is missing or holds a value that its type does not allow. The message names the
        column and, in the second case, the value and the row.
    """
    import pandas as pd

    if missing := [n for n in model.feature_names if n not in frame.columns]:
        raise DataError(f"{model.name}: the table lacks the columns {', '.join(missing)}")
    columns = {f.name: _typed(model, f, frame[f.name]) for f in model.features}
    columns |= {str(c): frame[c] for c in frame.columns if c not in columns}
    return pd.DataFrame(columns, index=frame.index)


def _typed(model: ModelFile, feature: Feature, values: pd.Series) -> pd.Series:
    if feature.type == "category":
        return _texts(model, feature, values)
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    _refuse(model, feature, values, numbers.isna() & values.notna(), "a number")
    _refuse(model, feature, values, numbers.abs() == float("inf"), "a finite number")
    if feature.type == "float":
        return numbers
    wanted = "0 or 1" if feature.type == "boolean" else "a whole number"
    bad = (numbers % 1 != 0) if feature.type == "integer" else ~numbers.isin([0.0, 1.0])
    _refuse(model, feature, values, bad & numbers.notna(), wanted)
    if numbers.isna().any():
        return numbers
    return numbers.astype("bool" if feature.type == "boolean" else "int64")


def _texts(model: ModelFile, feature: Feature, values: pd.Series) -> pd.Series:
    texts = values.astype(object).where(values.notna(), None)
    known = set(feature.categories)
    texts = texts.map(lambda v: v if v is None or v in known else written(v)).astype(object)
    bad = texts.map(lambda v: v is not None and v not in known).astype(bool)
    _refuse(model, feature, values, bad, f"one of {', '.join(feature.categories)}")
    return texts


def shown(value: Any) -> str:
    """Return the repr of a cell without numpy's type name."""
    return repr(value.item() if hasattr(value, "item") else value)


def _refuse(
    model: ModelFile, feature: Feature, values: pd.Series, bad: pd.Series, wanted: str
) -> None:
    if bad.any():
        first = bad.to_numpy().argmax()
        raise DataError(
            f"{model.name}: column {feature.name} holds {shown(values.iloc[first])} "
            f"in row {first + 1} ({int(bad.sum())} of {len(values)} rows); expected {wanted}"
        )


def row_fractions(frame: pd.DataFrame, columns: Sequence[str], salt: str) -> NDArray[np.float64]:
    """Return one number in [0, 1) per row, computed from its values in ``columns`` and the salt.

    Equal rows get equal numbers in any row order, in any process and on any machine. The dtype of a
    column has no influence: 1, 1.0 and True are equal, and so are all missing values. A split that
    compares these numbers with a share therefore keeps each row in its part when rows are added.
    The order of ``columns`` matters. Splits with different salts are independent of each other.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        state = np.full(len(frame), _text_code(salt), dtype=np.uint64)
        for column in columns:
            state = _mix(state * np.uint64(0x9E3779B97F4A7C15) + _codes(frame[column]))
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _codes(values: pd.Series) -> NDArray[np.uint64]:
    import numpy as np

    if values.dtype.kind in "bif":  # numbers; pandas converts pd.NA to NaN
        floats = values.to_numpy(dtype=np.float64) + 0.0  # -0.0 becomes 0.0
        floats[np.isnan(floats)] = np.nan  # all NaN bit patterns become one
        return np.asarray(floats.view(np.uint64))
    codes, uniques = values.astype(object).factorize(use_na_sentinel=True)
    table = np.array([_code(v) for v in uniques] + [_code(math.nan)], dtype=np.uint64)
    return np.asarray(table[codes])  # a missing value has code -1, the last entry


def _code(value: Any) -> int:
    import numpy as np

    if isinstance(value, bool | int | float | np.number | np.bool_):
        return int(np.array([float(value) + 0.0]).view(np.uint64)[0])
    return _text_code(str(value))


def _text_code(text: str) -> int:
    raw = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(raw[:8], "little")


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
