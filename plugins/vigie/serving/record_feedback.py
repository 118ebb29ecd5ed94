"""Record what really happened to an answered prediction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import PermanentError, UnknownTransactionError
from vigie.models.request import FeatureError
from vigie.records import JobResult, Label, LabelOutcome

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

_TRANSACTION = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_YES, _NO = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackReport(JobResult):
    """What became of a label; ``history`` has every label of the transaction, oldest first."""

    transaction_id: str
    model: str
    actual: str
    outcome: LabelOutcome
    history: tuple[Label, ...]


def record_feedback(
    services: Services,
    *,
    models: Mapping[str, ModelFile],
    transaction_id: object,
    actual: object,
    source: str = "feedback",
) -> FeedbackReport:
    """Store a label beside the prediction it belongs to; a different second one corrects the first.

    Both are kept, the latest counts. On failure nothing is stored.

    Parameters
    ----------
    services
        ``predictions`` and ``labels`` are used.
    models
        The model files, by name.
    transaction_id
        What ``POST /predict`` answered.
    actual
        One of the model's labels, or 1 / 0, true / false, yes / no for positive / negative.
    source
        Who says so.

    Raises
    ------
    FeatureError
        Naming ``transaction_id`` or ``actual`` when it is not usable.
    UnknownTransactionError
        When no such prediction was answered.
    """
    if not isinstance(transaction_id, str) or not _TRANSACTION.fullmatch(transaction_id):
        raise FeatureError({"transaction_id": "expected the id that POST /predict answered"})
    prediction = services.predictions.get(transaction_id)
    if prediction is None:
        raise UnknownTransactionError(transaction_id)
    model = models.get(prediction.model)
    if model is None:
        raise PermanentError(f"the model file of {prediction.model!r} is gone")
    label = read_label(model, actual)
    outcome = services.labels.add(transaction_id, label, source)
    return FeedbackReport(
        transaction_id=transaction_id,
        model=model.name,
        actual=label,
        outcome=outcome,
        history=tuple(services.labels.history(transaction_id)),
    )


def read_label(model: ModelFile, actual: object) -> str:
    """Return the model's label that ``actual`` means; labels themselves first, whatever their case.

    Raises
    ------
    FeatureError
        Listing what would have been understood.
    """
    if isinstance(actual, str | bool | int):
        text = str(actual).strip().casefold()
        for label in model.labels:
            if text == label.casefold():
                return label
        if text in _YES:
            return model.positive_label
        if text in _NO:
            return model.negative_label
    expected = f"{model.positive_label} (or 1, true), {model.negative_label} (or 0, false)"
    raise FeatureError({"actual": f"expected {expected}; found {str(actual)[:40]!r}"})
