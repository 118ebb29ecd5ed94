"""The reference table of a model, whose rows are part of every training table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError, NotEnoughDataError
from vigie.models.model_file import written
from vigie.models.tables import row_fractions, shown, typed

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import Feature, ModelFile

_DATASET = "sklearn:"


def is_ready(model: ModelFile, data_dir: Path) -> bool:
    """Return whether the reference table exists; the file is not opened."""
    return model.reference.startswith(_DATASET) or reference_path(model, data_dir).is_file()


def reference_path(model: ModelFile, data_dir: Path) -> Path:
    return Path(data_dir) / model.reference


def where_to_put(model: ModelFile, data_dir: Path) -> str:
    """Return an instruction to put the reference table at its path."""
    return f"put its reference table at {reference_path(model, data_dir)}"


def load_reference(model: ModelFile, data_dir: Path) -> pd.DataFrame:
    """Return the reference rows, with typed feature columns and the target as labels.

    Duplicate rows are kept, because different people can have the same values. Rows without a
    target are dropped.

    Raises
    ------
    NotEnoughDataError
        If the table does not exist; the message says where to put it.
    DataError
        If the table does not match the model file.
    """
    frame = _whole(model, data_dir)
    return frame[_is_reference(model, frame)].reset_index(drop=True)


def unseen_rows(model: ModelFile, data_dir: Path) -> pd.DataFrame:
    """Return the rows that ``reference_share`` excludes from the reference, for simulations."""
    frame = _whole(model, data_dir)
    return frame[~_is_reference(model, frame)].reset_index(drop=True)


def _is_reference(model: ModelFile, frame: pd.DataFrame) -> Any:
    return row_fractions(frame, model.feature_names, "reference") < model.reference_share


def _whole(model: ModelFile, data_dir: Path) -> pd.DataFrame:
    if not is_ready(model, data_dir):
        where = where_to_put(model, data_dir)
        raise NotEnoughDataError(f"{model.name} is waiting for data: {where}")
    is_dataset = model.reference.startswith(_DATASET)
    raw = _read_dataset() if is_dataset else read_table(reference_path(model, data_dir))
    return _shaped(model, raw.rename(columns=lambda c: str(c).strip()))


def _shaped(model: ModelFile, raw: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    wanted = [*(f.column or f.name for f in model.features), model.target]
    if missing := [c for c in wanted if c not in raw.columns]:
        found = ", ".join(map(str, raw.columns[:40]))
        raise DataError(
            f"{model.reference}: the columns {', '.join(missing)} of {model.name} are missing; "
            f"found {found}"
        )
    raw = raw[raw[model.target].notna()]
    frame = pd.DataFrame({f.name: _meant(f, raw[f.column or f.name]) for f in model.features})
    frame = typed(model, frame)
    frame[model.target] = _labels(model, raw[model.target])
    _check_ranges(model, frame)
    return frame


def _meant(feature: Feature, values: pd.Series) -> pd.Series:
    """Replace each value that is a key of ``feature.values``; keep the other values."""
    known = feature.values
    return values.map(lambda v: known.get(written(v), v)) if known else values


def _labels(model: ModelFile, values: pd.Series) -> pd.Series:
    meaning = {
        model.positive_label: model.positive_label,
        model.negative_label: model.negative_label,
        model.positive_value: model.positive_label,
        model.negative_value: model.negative_label,
    }
    labels = values.map(lambda v: meaning.get(written(v)))
    if (bad := labels.isna()).any():
        raise DataError(
            f"{model.reference}: the target {model.target} holds {shown(values[bad].iloc[0])} "
            f"({int(bad.sum())} of {len(values)} rows); "
            f"expected {model.positive_value} or {model.negative_value}"
        )
    return labels.astype(object)


def _check_ranges(model: ModelFile, frame: pd.DataFrame) -> None:
    for feature in model.features:
        low = -float("inf") if feature.min is None else feature.min
        high = float("inf") if feature.max is None else feature.max
        values = frame[feature.name].dropna()
        if feature.is_number and not (bad := values[~values.between(low, high)]).empty:
            raise DataError(
                f"{model.reference}: column {feature.column or feature.name} holds {bad.iloc[0]:g} "
                f"({len(bad)} of {len(frame)} rows); {model.name} expects {low:g} to {high:g}"
            )


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table. Raises DataError if the file is absent or unreadable."""
    import pandas as pd
    import pyarrow as pa

    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    # pandas raises parser errors as ValueError
    except (OSError, ValueError, pa.ArrowException) as exc:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise DataError(f"{path} is not a readable table: {reason}") from exc


def _read_dataset() -> pd.DataFrame:
    """Return scikit-learn's breast-cancer table, with snake_case names and target ``diagnosis``."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    frame = data.data.rename(columns=lambda name: str(name).replace(" ", "_"))
    return frame.assign(diagnosis=data.target.map(dict(enumerate(data.target_names))))
