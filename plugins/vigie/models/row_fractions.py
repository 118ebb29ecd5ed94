"""Which side of a split a row is on, decided by its content alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def row_fractions(frame: pd.DataFrame, columns: Sequence[str], salt: str) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each row that depends on nothing but its values and the salt.

    Equal rows get equal numbers, in any order of the rows, in any process, on any machine, whether
    a column came as integers, floats or objects (1, 1.0 and True are equal; every missing value
    is). A split that compares these numbers with a share therefore never moves a row to the other
    side when rows are added.

    ``columns`` is what counts as content, and their order matters; ``salt`` makes splits for
    different purposes independent.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        state = np.full(len(frame), _text_code(salt), dtype=np.uint64)
        for column in columns:
            state = _mix(state * np.uint64(0x9E3779B97F4A7C15) + _codes(frame[column]))
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _codes(values: pd.Series) -> NDArray[np.uint64]:
    import numpy as np

    if values.dtype.kind in "bif":  # numpy's own numbers; pandas' nullable ones go below
        floats = values.to_numpy(dtype=np.float64) + 0.0  # -0.0 becomes 0.0
        floats[np.isnan(floats)] = np.nan  # one NaN of the many
        return np.asarray(floats.view(np.uint64))
    codes, uniques = values.astype(object).factorize(use_na_sentinel=True)
    table = np.array([_code(v) for v in uniques] + [_code(math.nan)], dtype=np.uint64)
    return np.asarray(table[codes])  # a missing value has code -1: the last one


def _code(value: Any) -> int:
    import numpy as np

    if isinstance(value, bool | int | float | np.number | np.bool_):
        return int(np.array([float(value) + 0.0]).view(np.uint64)[0])
    return _text_code(str(value))


def _text_code(text: str) -> int:
    raw = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(raw[:8], "little")


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finish a hash with SplitMix64's bijection of 64 bits (Steele, Lea and Flood, 2014)."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
