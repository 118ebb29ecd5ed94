"""Run Evidently presets over prepared tables and handle the errors that Evidently raises.

Importing Evidently takes 5 to 8 s, so it is imported only to draw a report.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from vigie.adapters.reporting.frames import Frames

log = logging.getLogger(__name__)

#: Errors that Evidently 0.7 raises for data that it cannot draw.
REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
STAT_TEST = "vigie"

Effects = Mapping[str, tuple[float, bool]]
_effects: ContextVar[Effects] = ContextVar("effects")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Evidently's page and metrics, or the reason why there are none (``refusal``).

    ``left_out`` maps the columns that Evidently refused to the reasons.
    """

    html: str | None = None
    metrics: list[dict[str, Any]] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    refusal: str | None = None


def draw(frames: Frames, preset: Callable[[], Any]) -> Drawing:
    """Run a preset; if it fails, run it again without each column that fails alone."""
    if not frames.names:
        return Drawing(refusal="no column has values in both tables")
    first = _attempt(frames, preset)
    if first.refusal is None or len(frames.names) == 1:
        return first
    blamed = {
        name: f"Evidently refused the column: {drawing.refusal}"
        for name in frames.names
        if (drawing := _attempt(frames.only(name), preset)).refusal is not None
    }
    if not blamed or len(blamed) == len(frames.names):
        return first
    second = _attempt(frames.without(blamed), preset)
    return Drawing(second.html, second.metrics, blamed, second.refusal)


def _attempt(frames: Frames, preset: Callable[[], Any]) -> Drawing:
    from evidently import DataDefinition, Dataset

    shape = DataDefinition(
        numerical_columns=list(frames.numeric), categorical_columns=list(frames.categories)
    )
    tables = (frames.current, frames.reference)
    return _run(preset, *(Dataset.from_pandas(table, shape) for table in tables))


def draw_classification(*tables: pd.DataFrame, positive_label: str) -> Drawing:
    """Run the classification preset over current and, if given, reference predictions."""
    from evidently import BinaryClassification, DataDefinition, Dataset
    from evidently.presets import ClassificationPreset

    shape = DataDefinition(
        classification=[
            BinaryClassification(
                target="target",
                prediction_labels="prediction",
                prediction_probas="probability",
                pos_label=positive_label,
            )
        ],
        categorical_columns=["target", "prediction"],
        numerical_columns=["probability"],
    )
    return _run(ClassificationPreset, *(Dataset.from_pandas(table, shape) for table in tables))


def _run(preset: Callable[[], Any], current: Any, reference: Any = None) -> Drawing:
    from evidently import Report

    try:
        with warnings.catch_warnings(action="ignore"):  # numpy warns for each constant column.
            snapshot = Report([preset()]).run(current, reference)
            html = snapshot.get_html_str(as_iframe=False)
            metrics = json.loads(snapshot.json())["metrics"]
    except REFUSALS as exc:
        log.info("Evidently refused a report: %s", exc, exc_info=True)
        reason = (str(exc).splitlines() or [""])[0][:200]
        return Drawing(refusal=f"{type(exc).__name__}: {reason}")
    return Drawing(html, metrics)


def summary_preset() -> Any:
    """Return the preset of the quality report."""
    from evidently.presets import DataSummaryPreset

    return DataSummaryPreset()


def drift_preset(drift_share: float, threshold: float) -> Any:
    """Return the drift preset with a test that shows vigie's verdict on each column.

    Evidently chooses its own tests by the number of rows and does not correct them for the number
    of columns, so its page could contradict the verdict.
    """
    from evidently.presets import DataDriftPreset

    _register_stat_test()
    return DataDriftPreset(
        drift_share=drift_share,
        num_method=STAT_TEST,
        cat_method=STAT_TEST,
        num_threshold=threshold,
        cat_threshold=threshold,
    )


@contextmanager
def shown_verdicts(effects: Effects) -> Iterator[None]:
    """During the block, make the drift preset show the given effect and verdict per column."""
    token = _effects.set(effects)
    try:
        yield
    finally:
        _effects.reset(token)


def _register_stat_test() -> None:
    from evidently.legacy.calculations.stattests import registry
    from evidently.legacy.core import ColumnType

    test = registry.StatTest(
        name=STAT_TEST,
        display_name="vigie (effect size)",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=0.1,
    )
    registry.register_stattest(test, _look_up)


def _look_up(
    reference: pd.Series, current: pd.Series, feature_type: Any, threshold: float
) -> tuple[float, bool]:
    return _effects.get()[str(current.name)]
