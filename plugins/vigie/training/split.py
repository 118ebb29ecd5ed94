"""Split of a table into a fixed hold-out and cross-validation folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from vigie.errors import NotEnoughDataError
from vigie.models.tables import row_fractions


def holdout_mask(
    frame: pd.DataFrame, columns: Sequence[str], share: float, seed: int
) -> NDArray[np.bool_]:
    """Return a mask of the rows in the hold-out, computed from a hash of each row's ``columns``.

    The mask does not depend on other rows or their order, and equal rows are all in the hold-out or
    all outside. ``columns`` must not contain the target, so that rows that differ only in the
    target are on the same side. ``share`` is the expected share of the hold-out.
    """
    return np.asarray(row_fractions(frame, columns, f"holdout:{seed}") < share)


def in_content_order(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Sort rows by a hash of their content, so that the input order does not affect a training."""
    keys = row_fractions(frame, columns, "order")
    return frame.iloc[np.argsort(keys, kind="stable")]


def folds(
    frame: pd.DataFrame, columns: Sequence[str], y: NDArray[np.int64], n: int = 5
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (train, test) positions, stratified by label; equal rows are in the same fold.

    Raises
    ------
    NotEnoughDataError
        A label has fewer than two distinct rows, or a fold would have only one label.
    """
    groups = row_fractions(frame, columns, "fold")
    distinct = [len(np.unique(groups[y == label])) for label in (0, 1)]
    n = min(n, *distinct)
    if n < 2:
        raise NotEnoughDataError(
            "training needs two distinct rows of each label, "
            f"found {distinct[1]} positive and {distinct[0]} negative",
            found=min(distinct),
            needed=2,
        )
    for train, test in StratifiedGroupKFold(n_splits=n).split(groups, y, groups):
        if len(np.unique(y[train])) < 2:
            raise NotEnoughDataError("too few distinct rows: a fold would have only one label")
        yield train, test
