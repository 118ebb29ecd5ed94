"""The window of a report run: a model's predictions in a period, loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vigie.encoding import digest
from vigie.errors import DataError, NotEnoughDataError
from vigie.models.reference import load_reference
from vigie.models.thresholds import Threshold
from vigie.records import LabelledPrediction
from vigie.reports.evaluation import Evaluation, evaluate_once, evaluate_window
from vigie.training.labelled_predictions import labelled_rows

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import BundleStore, DeploymentStore, Services
    from vigie.roles.stores import Bundle


@dataclass(frozen=True, slots=True)
class Period:
    """The interval ``since <= created_at < until``."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise DataError(f"the period from {self.since} to {self.until} is empty")

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRun:
    """The inputs that all tasks of a report run share.

    Parameters
    ----------
    thresholds
        ``drift_share`` and ``performance_floor``, which override the model file.
    actor
        The user or process that started the run; the ledger records it.
    """

    model: ModelFile
    period: Period
    run_id: str
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    actor: str = "vigie"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The predictions of a report run and the version with which they are compared.

    Created by :func:`load_window`. The tables are built on first use and then kept.
    """

    run: ReportRun
    bundle: Bundle
    rows: tuple[LabelledPrediction, ...]
    data: Path

    @property
    def model(self) -> ModelFile:
        return self.run.model

    @cached_property
    def current(self) -> pd.DataFrame:
        """The features of all predictions, not yet converted to the types of the model file."""
        names = list(self.model.feature_names)
        cells = [[row.prediction.features.get(name) for name in names] for row in self.rows]
        return pd.DataFrame(cells, columns=names)

    @cached_property
    def reference(self) -> pd.DataFrame:
        """The training table of the version; if its file is absent, the reference table."""
        dataset = self.bundle.info.get("dataset")
        path = self.data / str(dataset)
        if dataset and path.is_file():
            return pd.read_parquet(path, columns=[*self.model.feature_names, self.model.target])
        return load_reference(self.model, self.data)

    @cached_property
    def labelled(self) -> tuple[LabelledPrediction, ...]:
        """The predictions of the bundle's version that have one of the model's labels."""
        return tuple(labelled_rows(self.model, self.rows, self.bundle.version))

    @cached_property
    def labelled_table(self) -> pd.DataFrame:
        """Columns ``target``, ``prediction`` and ``probability`` of the labelled predictions."""
        rows = ((row.actual, row.prediction) for row in self.labelled)
        cells = [(actual, made.prediction, made.probability) for actual, made in rows]
        return pd.DataFrame(cells, columns=["target", "prediction", "probability"])

    @cached_property
    def evaluation(self) -> Evaluation:
        """The verdicts of the run, which are the same in every process of the run."""
        return evaluate_once(
            evaluation_path(self.data, self.run),
            lambda: evaluate_window(
                self.model, self.bundle, self.current, self.labelled, self.run.thresholds
            ),
        )


def load_window(services: Services, run: ReportRun) -> Window:
    """Load the predictions of a run's period and the champion's bundle.

    If an earlier task of the run stored verdicts, the bundle of their version is loaded, even if
    another version has become champion since.

    Raises
    ------
    NotEnoughDataError
        The model has no champion, or there is no prediction in the period.
    """
    stored = Evaluation.read(evaluation_path(services.paths.data, run))
    version = stored.model_version if stored else None
    bundle = _open(services.deployments, services.bundles, run.model.name, version)
    period = run.period
    rows = tuple(services.predictions.window(run.model.name, period.since, period.until))
    if not rows:
        reason = f"{run.model.name}: no prediction from {period}"
        raise NotEnoughDataError(reason, found=0, needed=1)
    return Window(run=run, bundle=bundle, rows=rows, data=services.paths.data)


def evaluation_path(data: Path, run: ReportRun) -> Path:
    """Return the path of the file with the verdicts of a run."""
    key = digest(run.run_id, run.period.since.isoformat(), run.period.until.isoformat())
    return data / "reports" / run.model.name / f"{key[:32]}.json"


def _open(
    deployments: DeploymentStore, bundles: BundleStore, model: str, version: int | None
) -> Bundle:
    if version is None:
        champion = deployments.champion(model)
        if champion is None:
            raise NotEnoughDataError(
                f"{model} has no champion yet; train one: vigie retrain --model {model}"
            )
        version = champion.version
    return bundles.open(model, version)
