"""What the report jobs share: the window, its rows, and the champion they are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vigie.errors import DataError, NotEnoughDataError
from vigie.models.reference import load_reference
from vigie.records import JobResult, LabelledPrediction, Sample

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.roles.stores import Bundle


@dataclass(frozen=True, slots=True)
class Window:
    """Predictions with ``since <= created_at < until``."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise DataError(f"the window from {self.since} to {self.until} is empty")

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport(JobResult):
    """A page and the JSON beside it."""

    model: str
    report: str
    path: Path
    json_path: Path
    n_current: int
    n_reference: int
    since: datetime
    until: datetime


def served_rows(services: Services, model: ModelFile, window: Window) -> list[LabelledPrediction]:
    """Return the window's predictions. Raises NotEnoughDataError when there are none."""
    rows = list(services.predictions.window(model.name, window.since, window.until))
    if not rows:
        raise NotEnoughDataError(
            f"{model.name}: nothing was predicted from {window}", found=0, needed=1
        )
    return rows


def feature_table(model: ModelFile, rows: Sequence[LabelledPrediction]) -> pd.DataFrame:
    """Return the rows' features as they were sent; unlike a training table, nothing is refused."""
    names = list(model.feature_names)
    cells = [[row.prediction.features.get(name) for name in names] for row in rows]
    return pd.DataFrame(cells, columns=names)


def champion_bundle(services: Services, model: ModelFile) -> Bundle:
    """Return the verified champion. Raises NotEnoughDataError when there is none yet."""
    champion = services.deployments.champion(model.name)
    if champion is None:
        raise NotEnoughDataError(
            f"{model.name} has no champion yet; train one: vigie retrain --model {model.name}"
        )
    return services.bundles.open(model.name, champion.version)


def frozen_profile(bundle: Bundle) -> Mapping[str, Any]:
    """Return the reference profile that was frozen with a version."""
    try:
        profile: Mapping[str, Any] = json.loads(bundle.files["profile.json"])
    except (KeyError, ValueError) as exc:
        where = f"{bundle.model} v{bundle.version}"
        raise DataError(f"{where} carries no readable profile.json; train it again") from exc
    return profile


def reference_table(services: Services, model: ModelFile, bundle: Bundle) -> pd.DataFrame:
    """Return the rows that the champion was trained on, else the model's reference table."""
    dataset = bundle.info.get("dataset")
    path = services.paths.data / str(dataset)
    if dataset and path.is_file():
        return pd.read_parquet(path, columns=[*model.feature_names, model.target])
    return load_reference(model, services.paths.data)


def report_path(services: Services, report: str, model: str, window: Window) -> Path:
    """Return the page's path, named after the window's end: a retry writes the same file."""
    stamp = window.until.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    return services.paths.reports / f"{report}_report_{model}_{stamp}.html"


def written(
    report: str,
    model: ModelFile,
    window: Window,
    path: Path,
    n_current: int,
    n_reference: int,
    metrics: Sequence[Sample],
) -> WrittenReport:
    """Say what was written."""
    return WrittenReport(
        metrics=metrics,
        model=model.name,
        report=report,
        path=path,
        json_path=path.with_suffix(".json"),
        n_current=n_current,
        n_reference=n_reference,
        since=window.since,
        until=window.until,
    )
