"""Names of models, candidates and metrics, which DAG files need while they are parsed."""

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
#: Model names are parts of folder names, task ids, registry names and metric labels.
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def model_names(folder: Path) -> list[str]:
    """Return the sorted names of the models in a folder; the model files are not opened.

    The name of a model is the name of its file. The DAG therefore contains the tasks of an invalid
    model file too. These tasks fail, and their error message lists the mistakes in the file.
    """
    return sorted(p.stem for p in Path(folder).glob("*.toml") if NAME.fullmatch(p.stem))
