"""Performance of a version on its labelled predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vigie.training.metrics import evaluate

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.models.thresholds import Threshold
    from vigie.records import LabelledPrediction
    from vigie.roles.stores import Bundle


@dataclass(frozen=True, slots=True)
class Performance:
    """Metrics of one version, and whether its performance metric is below the floor.

    ``is_low`` is None, with the ``reason``, if no floor is set, there are too few labels, all
    labels are equal, or the metric is undefined.
    """

    metric: str
    value: float | None
    metrics: dict[str, float | None]
    n_labelled: int
    is_low: bool | None
    reason: str


def labelled_rows(
    model: ModelFile, rows: Iterable[LabelledPrediction], version: int
) -> list[LabelledPrediction]:
    """Return the predictions of one version whose true label is one of the model's labels."""
    return [
        row
        for row in rows
        if row.prediction.model_version == version and row.actual in model.labels
    ]


def measure_performance(
    model: ModelFile, bundle: Bundle, rows: Sequence[LabelledPrediction], floor: Threshold
) -> Performance:
    """Compute the metrics of a version and compare its performance metric with the floor.

    ``rows`` is the result of :func:`labelled_rows` for this version. The model file defines the
    metric and the minimum number of labels.
    """
    metrics = _metrics(model, bundle, rows) if rows else {}
    name, needed = model.retrain.performance_metric, model.retrain.min_labelled
    value, labels = metrics.get(name), {row.actual for row in rows}
    is_low = None
    if floor.value is None:
        reason = f"no floor is set; {name} is {'unknown' if value is None else f'{value:.3f}'}"
    elif len(rows) < needed:
        reason = f"{len(rows)} labelled predictions of v{bundle.version}; {needed} are needed"
    elif len(labels) == 1:
        reason, value = f"{name} is not measured: all labels are {labels.pop()}", None
    elif value is None:
        reason = f"{name} is undefined for these {len(rows)} predictions"
    else:
        is_low = value < floor.value
        side = "below" if is_low else "not below"
        reason = f"{name} {value:.3f} is {side} the floor {floor.value} ({len(rows)} predictions)"
    return Performance(name, value, metrics, len(rows), is_low, reason)


def _metrics(
    model: ModelFile, bundle: Bundle, rows: Sequence[LabelledPrediction]
) -> dict[str, float | None]:
    y = np.array([row.actual == model.positive_label for row in rows])
    p = np.array([row.prediction.probability for row in rows])
    metrics = evaluate(y, p, float(bundle.info["threshold"]), model.cost)
    return {name: float(v) if math.isfinite(v) else None for name, v in metrics.items()}
