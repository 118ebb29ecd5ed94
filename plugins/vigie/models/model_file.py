"""The model file: what a user edits to bring a model (``models/NAME.toml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

FeatureType = Literal["float", "integer", "category", "boolean"]
FEATURE_TYPES: tuple[str, ...] = get_args(FeatureType)
CANDIDATES = ("logistic_regression", "random_forest", "xgboost")
#: Figures that may select a model or guard a promotion; :mod:`vigie.training.metrics` computes
#: them.
METRICS = ("average_precision", "roc_auc", "f1", "precision", "recall", "accuracy")


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model.

    Parameters
    ----------
    min, max
        Smallest and largest value that a request may carry (numbers only); None: no limit.
    categories
        The values a ``category`` may take.
    required
        Whether a request must carry it; the pipeline imputes what an optional one leaves out.
    column
        Its column in the reference table, when that has another name.
    values
        What a value of the reference table means, e.g. ``{"M": 1, "F": 0}``; empty: as it is.
    title
        What the form shows.
    """

    name: str
    type: FeatureType
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()
    required: bool = True
    column: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    @property
    def is_number(self) -> bool:
        return self.type in ("float", "integer")


@dataclass(frozen=True, slots=True)
class Training:
    """Which candidates are trained and how the best is chosen; the hold-out never changes sides."""

    candidates: tuple[str, ...] = CANDIDATES
    metric: str = "average_precision"
    holdout_share: float = 0.25
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Retrain:
    """When a model is retrained: triggers are OR-ed, the rest holds them back."""

    min_rows: int = 1000
    min_labelled: int = 50
    drift_share: float = 0.3
    performance_metric: str = "average_precision"
    performance_floor: float | None = None
    hysteresis: int = 1
    cooldown_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must show on the hold-out; see :mod:`vigie.training.gate`."""

    min_gain: float = 0.0
    confidence: float = 0.9
    tolerance: float = 0.01
    guards: Mapping[str, float] = field(default_factory=dict)  # metric -> largest loss allowed


@dataclass(frozen=True, slots=True)
class Cost:
    """What a missed positive and a false alarm cost, in any common unit."""

    miss: float = 1.0
    false_alarm: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as its file describes it.

    ``accepted`` are inputs that a request may carry and that are logged, but that the model does
    not see. ``positive_value`` and ``negative_value`` are what the reference table's target holds.
    """

    name: str
    title: str
    target: str
    positive_label: str
    negative_label: str
    reference: str
    reference_share: float
    features: tuple[Feature, ...]
    path: Path
    derive: str | None = None
    accepted: tuple[Feature, ...] = ()
    positive_value: str = ""
    negative_value: str = ""
    training: Training = field(default_factory=Training)
    retrain: Retrain = field(default_factory=Retrain)
    gate: Gate = field(default_factory=Gate)
    cost: Cost = field(default_factory=Cost)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    @property
    def labels(self) -> tuple[str, str]:
        """Return the negative and the positive label."""
        return self.negative_label, self.positive_label

    def feature(self, name: str) -> Feature:
        """Return a feature by name. Raises KeyError."""
        return {f.name: f for f in self.features}[name]


def load_model_file(path: Path) -> ModelFile:
    """Read and validate a model file.

    Raises
    ------
    ModelFileError
        With one line a mistake: file, table, key, what was expected and what was found.
    """
    from vigie.models.parsing import parse_model

    return parse_model(path)
