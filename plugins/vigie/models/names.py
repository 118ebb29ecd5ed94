"""Names that DAG files use while they are parsed: models, candidates, metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

Candidate = Literal["logistic_regression", "random_forest", "xgboost"]
CANDIDATES: tuple[Candidate, ...] = get_args(Candidate)
#: Metrics that may select a model or guard a promotion; :mod:`vigie.training.metrics` computes
#: them.
Metric = Literal["average_precision", "roc_auc", "f1", "precision", "recall", "accuracy"]
METRICS: tuple[Metric, ...] = get_args(Metric)
#: A model's name is part of folder names, task ids, registry names and metric labels.
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def model_names(folder: Path) -> list[str]:
    """Return the names of the model files in a folder, sorted, without opening a file.

    A model has the name of its file. A file with a mistake therefore keeps its tasks in the DAG,
    and these tasks fail with the mistake as their message.
    """
    return sorted(p.stem for p in Path(folder).glob("*.toml") if NAME.fullmatch(p.stem))
