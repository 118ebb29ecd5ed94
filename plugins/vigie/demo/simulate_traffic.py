"""Simulate traffic: request predictions for rows outside the reference, and send labels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vigie.errors import DataError, NotEnoughDataError, SettingsError, TransientError
from vigie.models.reference import unseen_rows
from vigie.models.tables import plain
from vigie.records import JobResult

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import ModelFile

MAX_FIRST_FAILURES = 5  # failed requests that end the simulation if no request succeeded
MAX_ERRORS = 5  # maximum number of different errors in the result


class Service(Protocol):
    """Interface of the prediction service: request a prediction, send a label."""

    def predict(self, model: str, features: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def feedback(self, transaction_id: str, actual: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult(JobResult):
    """Counts of a simulation: ``sent == answered + refused + failed``."""

    model: str
    sent: int
    answered: int
    refused: int  # the service rejected the input
    failed: int  # the service did not respond, or responded with 5xx
    labelled: int
    feedback_failed: int
    clipped: int  # shifted values that were limited to the allowed range
    resampled: bool  # rows were sent more than once, because there are fewer than requested
    predictions: Mapping[str, int]
    versions: Mapping[str, int]
    errors: tuple[str, ...]  # the first few


def simulate_traffic(
    data_dir: Path,
    *,
    model: ModelFile,
    service: Service,
    n: int,
    shifts: Mapping[str, float] | None = None,
    feedback: float = 0.0,
    seed: int = 0,
    on_progress: Callable[[], None] = lambda: None,
) -> SimulationResult:
    """Send ``n`` real rows and count the responses; the same seed sends the same rows.

    ``shifts`` maps features to amounts to add; a shifted value is limited to the feature's range.
    ``feedback`` is the share of the rows whose label is sent, 0 to 1. ``on_progress`` is called
    after each row.

    Raises
    ------
    NotEnoughDataError
        If there are no rows.
    SettingsError
        If ``n`` or ``feedback`` is out of range, a shift is not for a numeric feature, or the
        service rejects the API key.
    TransientError
        If the service does not respond to any of the first requests.
    """
    if n < 1 or not 0 <= feedback <= 1:
        raise SettingsError(f"expected n >= 1 and 0 <= feedback <= 1, found {n} and {feedback}")
    check_shifts(model, shifts or {})
    if (rows := unseen_rows(model, data_dir)).empty:
        raise NotEnoughDataError(
            f"{model.name} has no rows outside the reference; lower its reference_share"
        )
    chance, run = random.Random(seed), _Run(model, service)
    for place in _places(len(rows), n, chance):
        features, actual = _request(model, rows.iloc[place])
        run.clipped += shift(model, features, shifts or {})
        run.send(features, actual if chance.random() < feedback else None)
        on_progress()
    return run.result(n, resampled=n > len(rows))


def check_shifts(model: ModelFile, shifts: Mapping[str, float]) -> None:
    """Raise SettingsError if a shift is not for a numeric feature of the model."""
    numbers = [f.name for f in model.features if f.is_number]
    for name in shifts:
        if name not in numbers:
            raise SettingsError(
                f"--shift {name}: expected a numeric feature of {model.name} ({', '.join(numbers)})"
            )


def shift(model: ModelFile, features: dict[str, Any], shifts: Mapping[str, float]) -> int:
    """Add the shifts to ``features``; return the number of values limited to a feature's range."""
    clipped = 0
    for name, step in shifts.items():
        feature, value = model.feature(name), features.get(name)
        if value is None:
            continue
        low = float("-inf") if feature.min is None else feature.min
        high = float("inf") if feature.max is None else feature.max
        moved = min(max(value + step, low), high)
        clipped += moved != value + step
        features[name] = round(moved) if feature.type == "integer" else float(moved)
    return clipped


def _places(available: int, n: int, chance: random.Random) -> Iterator[int]:
    """Yield ``n`` row numbers in random order; every row comes once before any row repeats."""
    while n > 0:
        order = list(range(available))
        chance.shuffle(order)
        yield from order[:n]
        n -= available


def _request(model: ModelFile, row: pd.Series) -> tuple[dict[str, Any], str]:
    """Return a row's non-missing features as JSON values, and the row's label."""
    values = {feature.name: plain(feature, row[feature.name]) for feature in model.features}
    features = {name: value for name, value in values.items() if value is not None}
    return features, str(row[model.target])


@dataclass(slots=True)
class _Run:
    """Send rows and count the responses."""

    model: ModelFile
    service: Service
    answered: int = 0
    refused: int = 0
    failed: int = 0
    labelled: int = 0
    feedback_failed: int = 0
    clipped: int = 0
    predictions: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def send(self, features: Mapping[str, Any], actual: str | None) -> None:
        """Request a prediction, then send ``actual`` as its label unless it is None."""
        try:
            response = self.service.predict(self.model.name, features)
        except DataError as exc:
            self.refused += 1
            self._note(exc)
            return
        except TransientError as exc:
            self.failed += 1
            self._note(exc)
            if not self.answered and self.failed >= MAX_FIRST_FAILURES:
                raise
            return
        self.answered += 1
        self.predictions[str(response["prediction"])] += 1
        self.versions[str(response["model_version"])] += 1
        if actual is not None:
            self._label(str(response["transaction_id"]), actual)

    def _label(self, transaction_id: str, actual: str) -> None:
        try:
            self.service.feedback(transaction_id, actual)
            self.labelled += 1
        except (DataError, TransientError) as exc:
            self.feedback_failed += 1
            self._note(exc)

    def _note(self, error: Exception) -> None:
        if len(self.errors) < MAX_ERRORS and str(error) not in self.errors:
            self.errors.append(str(error))

    def result(self, n: int, *, resampled: bool) -> SimulationResult:
        counts = ("answered", "refused", "failed", "labelled", "feedback_failed", "clipped")
        return SimulationResult(
            model=self.model.name,
            sent=n,
            resampled=resampled,
            predictions=dict(self.predictions),
            versions=dict(self.versions),
            errors=tuple(self.errors),
            **{name: getattr(self, name) for name in counts},
        )
