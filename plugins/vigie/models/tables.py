"""Tables with the columns of a model, each of the type that the model file promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import Feature, ModelFile


def frame_of(model: ModelFile, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a typed table of requests' features, one row each, in the model's feature order.

    A feature that a row does not have is missing in the table; other keys are left out.
    """
    import pandas as pd

    names = list(model.feature_names)
    return typed(model, pd.DataFrame([[r.get(n) for n in names] for r in rows], columns=names))


def typed(model: ModelFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the feature columns (then the rest, untouched) as the model file types them.

    ``float`` is float64; ``integer`` and ``boolean`` are int64 and bool, or float64 (0 and 1) where
    a value is missing; ``category`` is text, None where missing.

    Raises
    ------
    DataError
        If a column is missing, or holds what its type does not allow: column, value and row are
        named.
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


def written(value: Any) -> str:
    """Return a cell as a file writes it.

    Examples
    --------
    >>> written(1), written(1.0), written(" yes "), written(1_000_000.0), written(0.5)
    ('1', '1', 'yes', '1000000', '0.5')
    """
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value).strip()


def shown(value: Any) -> str:
    """Return a cell as a person writes it, not as numpy does."""
    return repr(value.item() if hasattr(value, "item") else value)


def _refuse(
    model: ModelFile, feature: Feature, values: pd.Series, bad: pd.Series, wanted: str
) -> None:
    if bad.any():
        first = bad.to_numpy().argmax()
        raise DataError(
            f"{model.name}: column {feature.name} holds {shown(values.iloc[first])} "
            f"in row {first + 1} ({int(bad.sum())} such of {len(values)}); expected {wanted}"
        )
