"""The model file (``models/NAME.toml``), in which a user describes a model.

:mod:`vigie.models.loading` validates a file against the annotations, which state the allowed
values. Instances created by code are not validated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from vigie.models.features import derivations
from vigie.models.names import CANDIDATES, NAME, Candidate, Metric

FeatureType = Literal["float", "integer", "category", "boolean"]
DATASETS = ("sklearn:breast_cancer",)
#: Keys under which a file's path and a feature's name are validated; model files do not use them.
PATH_KEY, NAME_KEY = "(path)", "(name)"
_TABLES = (".csv", ".csv.gz", ".parquet")
_FEATURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def written(value: Any) -> str:
    """Return a cell of a table as text, without outer spaces and without ``.0``.

    Examples
    --------
    >>> written(1), written(1.0), written(" yes "), written(1_000_000.0), written(0.5)
    ('1', '1', 'yes', '1000000', '0.5')
    """
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value).strip()


def _refusal(reason: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def _feature_name(name: str) -> str:
    if not _FEATURE_NAME.fullmatch(name):
        raise _refusal(
            "expected up to 64 letters, digits and _, not starting with a digit; "
            "use `column` for another name in the table"
        )
    return name


def _limit(value: float | None, info: ValidationInfo) -> float | None:
    kind, low = info.data.get("type"), info.data.get("min")
    if kind not in (None, "float", "integer"):
        raise _refusal(f"expected no limit for type {kind}")
    if info.field_name == "max" and low is not None and value is not None and value < low:
        raise _refusal(f"expected at least {low:g}, the value of min")
    return value


def _categories(values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    kind = info.data.get("type")
    if kind == "category" and not values:
        raise _refusal("expected a list of the allowed values")
    if kind not in (None, "category") and values:
        raise _refusal(f"expected no categories for type {kind}")
    return values


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise _refusal("expected a list without repeated values")
    return values


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise _refusal("expected at least one value")
    return values


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise _refusal("expected a number, text, true or false")
    return value


def _default_column(value: str, info: ValidationInfo) -> str:
    return value or str(info.data.get("name", ""))


def _default_title(value: str, info: ValidationInfo) -> str:
    return value or str(info.data.get("name", "")).replace("_", " ")


def _name(name: str, info: ValidationInfo) -> str:
    if not NAME.fullmatch(name):
        raise _refusal("expected up to 64 lower-case letters, digits and _, starting with a letter")
    if name != info.context:
        raise _refusal(f'expected the name of the file, "{info.context}"')
    return name


def _other_label(label: str, info: ValidationInfo) -> str:
    if label == info.data.get("positive_label"):
        raise _refusal("expected a label different from the positive label")
    return label


def _reference(reference: str) -> str:
    if reference not in DATASETS and not reference.lower().endswith(_TABLES):
        raise _refusal(f"expected a path that ends in {', '.join(_TABLES)}, or {DATASETS[0]}")
    return reference


def _derivation(name: str) -> str:
    if name not in derivations():
        raise _refusal(f"expected one of {', '.join(derivations())}")
    return name


def _target_value(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return written(value) if is_number else value


def _default_value(value: str, info: ValidationInfo) -> str:
    label = str(info.field_name).replace("_value", "_label")
    return value or str(info.data.get(label, ""))


def _unique(features: tuple[Feature, ...], info: ValidationInfo) -> tuple[Feature, ...]:
    if info.field_name == "features" and not features:
        raise _refusal("expected at least one table [features.NAME]")
    names = [f.name for f in (*info.data.get("features", ()), *features)]
    for name in names:
        if names.count(name) > 1:
            raise _refusal(f"expected unique names; {name} occurs more than once")
        if name == info.data.get("target"):
            raise _refusal(f"expected names other than the target; {name} is the target")
    return features


Text = Annotated[str, Field(strict=True, min_length=1)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Share = Annotated[Number, Field(ge=0, le=1)]
PositiveShare = Annotated[Number, Field(gt=0, le=1)]
Limit = Annotated[Number | None, AfterValidator(_limit)]
Distinct, NotEmpty = AfterValidator(_distinct), AfterValidator(_not_empty)
Title = Annotated[str, Field(strict=True, validate_default=True), AfterValidator(_default_title)]
Column = Annotated[str, Field(strict=True, validate_default=True), AfterValidator(_default_column)]
TargetValue = Annotated[
    str,
    Field(strict=True, validate_default=True),
    BeforeValidator(_target_value),
    AfterValidator(_default_value),
]


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model.

    Parameters
    ----------
    min, max
        Smallest and largest allowed value of a number; None: no limit.
    categories
        The allowed values of a ``category``.
    required
        Whether a request must contain the feature; a missing optional feature is imputed.
    column
        The feature's column in the reference table; empty: the column with the feature's name.
    values
        Replacements for values of the reference table, e.g. ``{"M": 1, "F": 0}``; other values are
        used unchanged.
    title
        The feature's label in the form; empty: the name with spaces instead of ``_``.
    """

    name: Annotated[Text, AfterValidator(_feature_name), Field(validation_alias=NAME_KEY)]
    type: FeatureType
    min: Limit = None
    max: Limit = None
    categories: Annotated[
        tuple[Text, ...], Distinct, AfterValidator(_categories), Field(validate_default=True)
    ] = ()
    required: Flag = True
    column: Column = ""
    values: Mapping[str, Annotated[Any, AfterValidator(_scalar)]] = field(default_factory=dict)
    title: Title = ""

    @property
    def is_number(self) -> bool:
        return self.type in ("float", "integer")


@dataclass(frozen=True, slots=True)
class Training:
    """The candidates of a training and the settings of their selection."""

    candidates: Annotated[tuple[Candidate, ...], Distinct, NotEmpty] = CANDIDATES
    metric: Metric = "average_precision"
    holdout_share: Annotated[Number, Field(gt=0, lt=1)] = 0.25
    seed: Annotated[Whole, Field(ge=0)] = 42


@dataclass(frozen=True, slots=True)
class Retrain:
    """Triggers of a retraining, of which one is enough, and conditions that suppress training."""

    min_rows: Annotated[Whole, Field(ge=1)] = 1000
    min_labelled: Annotated[Whole, Field(ge=1)] = 50
    drift_share: PositiveShare = 0.3
    performance_metric: Metric = "average_precision"
    performance_floor: Share | None = None
    hysteresis: Annotated[Whole, Field(ge=1)] = 1
    cooldown_hours: Annotated[Number, Field(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Conditions that a challenger must meet on the hold-out; see :mod:`vigie.training.gate`."""

    min_gain: Share = 0.0
    confidence: Annotated[Number, Field(ge=0.5, lt=1)] = 0.9
    tolerance: Share = 0.01
    guards: Mapping[Metric, Share] = field(default_factory=dict)  # metric -> largest loss allowed


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a missed positive and of a false alarm, in one common unit."""

    miss: Annotated[Number, Field(gt=0)] = 1.0
    false_alarm: Annotated[Number, Field(gt=0)] = 1.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The content of a model file.

    ``accepted`` lists inputs that a request may contain; they are logged, but the model does not
    use them. ``positive_value`` and ``negative_value`` are the values of the target column that
    mean the positive and the negative label.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)

    name: Annotated[Text, AfterValidator(_name)]
    title: Text
    target: Text
    positive_label: Text
    negative_label: Annotated[Text, AfterValidator(_other_label)]
    reference: Annotated[Text, AfterValidator(_reference)]
    reference_share: PositiveShare
    features: Annotated[tuple[Feature, ...], AfterValidator(_unique)]
    path: Annotated[Path, Field(validation_alias=PATH_KEY)]
    derive: Annotated[Text, AfterValidator(_derivation)] | None = None
    accepted: Annotated[tuple[Feature, ...], AfterValidator(_unique)] = ()
    positive_value: TargetValue = ""
    negative_value: TargetValue = ""
    training: Training = field(default_factory=Training)
    retrain: Retrain = field(default_factory=Retrain)
    gate: Gate = field(default_factory=Gate)
    cost: Cost = field(default_factory=Cost)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    @property
    def feature_types(self) -> dict[str, str]:
        return {f.name: f.type for f in self.features}

    @property
    def labels(self) -> tuple[str, str]:
        """Return the negative and the positive label."""
        return self.negative_label, self.positive_label

    def feature(self, name: str) -> Feature:
        """Return a feature by name. Raises KeyError if the model has no such feature."""
        return {f.name: f for f in self.features}[name]
