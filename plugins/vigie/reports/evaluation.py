"""The verdicts on the drift and the performance of one window, computed once per run.

The tasks of a run are separate processes. The first task that needs the verdicts stores them in a
JSON file, and the other tasks read the file. The verdicts in reports and decisions therefore agree,
even if a label arrives or the champion changes between two tasks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from vigie.drift.decision import detect_drift
from vigie.drift.verdict import DriftVerdict
from vigie.encoding import dumps, write_atomic
from vigie.errors import DataError
from vigie.models.thresholds import Threshold
from vigie.training.labelled_predictions import Performance, measure_performance

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import ModelFile
    from vigie.records import LabelledPrediction
    from vigie.roles.stores import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The verdicts on a window, with the thresholds that applied and their sources."""

    model_version: int
    drift: DriftVerdict
    drift_share_source: str
    performance: Performance
    floor: Threshold

    @property
    def performance_word(self) -> str:
        """``yes`` (degraded), ``no``, ``unknown``, or ``skipped`` if no floor is set."""
        if self.floor.value is None:
            return "skipped"
        return {True: "yes", False: "no", None: "unknown"}[self.performance.is_low]

    @property
    def drift_evidence(self) -> dict[str, Any]:
        """Evidence of the drift decision; columns that did not drift are omitted."""
        drift = self.drift
        return {
            "drift_score": drift.drift_score,
            "n_drifted_features": drift.n_drifted_features,
            "max_feature_drift": drift.max_feature_drift,
            "drift_share": drift.drift_share,
            "drift_share_source": self.drift_share_source,
            "reference": "training",
            "n_reference": drift.n_reference,
            "n_current": drift.n_current,
            "n_features": len(drift.columns),
            "columns": {
                column.name: {"effect": column.effect, "reason": column.reason}
                for column in drift.columns
                if column.is_drifted is not False
            },
        }

    @property
    def performance_evidence(self) -> dict[str, Any]:
        """Evidence of the performance decision."""
        performance = self.performance
        return {
            "metric": performance.metric,
            "value": performance.value,
            "floor": self.floor.value,
            "floor_source": self.floor.source,
            "n_labelled": performance.n_labelled,
            "figures": performance.metrics,
        }

    @classmethod
    def read(cls, path: Path) -> Evaluation | None:
        """Return a stored evaluation, or None if there is none; a damaged file is a DataError."""
        if not path.is_file():
            return None
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except ValidationError as exc:
            raise DataError(f"{path} is not a readable evaluation: delete the file") from exc


def evaluate_window(
    model: ModelFile,
    bundle: Bundle,
    current: pd.DataFrame,
    labelled: Sequence[LabelledPrediction],
    thresholds: Mapping[str, Threshold],
) -> Evaluation:
    """Compare a window with the profile in a bundle and with the performance floor.

    ``current`` contains the features of all predictions of the window, ``labelled`` the labelled
    predictions of the bundle's version. ``thresholds`` may contain ``drift_share`` and
    ``performance_floor``, which override the model file.
    """
    share, floor = (
        thresholds.get(name) or Threshold(getattr(model.retrain, name), "model file")
        for name in ("drift_share", "performance_floor")
    )
    return Evaluation(
        model_version=bundle.version,
        drift=detect_drift(_frozen_profile(bundle), current, float(share.value or 0.0)),
        drift_share_source=share.source,
        performance=measure_performance(model, bundle, labelled, floor),
        floor=floor,
    )


def _frozen_profile(bundle: Bundle) -> Mapping[str, Any]:
    try:
        profile: Mapping[str, Any] = json.loads(bundle.files["profile.json"])
    except (KeyError, ValueError) as exc:
        where = f"{bundle.model} v{bundle.version}"
        raise DataError(f"{where} has no readable profile.json; train the model again") from exc
    return profile


def evaluate_once(path: Path, compute: Callable[[], Evaluation]) -> Evaluation:
    """Return the evaluation stored at ``path``; compute and store it first if there is none.

    If several processes compute it at the same time, all return the evaluation stored first.
    """
    if (stored := Evaluation.read(path)) is not None:
        return stored
    computed = compute()
    _store_first(path, dumps(dataclasses.asdict(computed)))
    return Evaluation.read(path) or computed


def _store_first(path: Path, data: bytes) -> None:
    temporary = write_atomic(path.with_name(f".{secrets.token_hex(8)}.json"), data)
    try:
        # Unlike a rename, a link fails if another process has stored its evaluation already.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
