"""Record the label of a prediction."""

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
    from vigie.roles import LabelStore, PredictionStore

_TRANSACTION = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_YES, _NO = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult(JobResult):
    """A stored label; ``history`` contains all labels of its transaction, oldest first."""

    transaction_id: str
    model: str
    actual: str
    outcome: LabelOutcome
    history: tuple[Label, ...]


def record_feedback(
    predictions: PredictionStore,
    labels: LabelStore,
    *,
    models: Mapping[str, ModelFile],
    transaction_id: object,
    actual: object,
    source: str = "feedback",
) -> FeedbackResult:
    """Store the label of a prediction; a different second label corrects the first.

    Both labels are kept and the latest one is used. Storing the latest label again changes nothing.
    :func:`read_label` describes the values of ``actual``; ``source`` is the origin of the label,
    e.g. ``api`` or ``page``.

    Raises
    ------
    FeatureError
        If ``transaction_id`` or ``actual`` is not valid.
    UnknownTransactionError
        If no prediction has this transaction id.
    PermanentError
        If the model of the prediction is not among ``models``.
    """
    if not isinstance(transaction_id, str) or not _TRANSACTION.fullmatch(transaction_id):
        raise FeatureError({"transaction_id": "expected the id that POST /predict returned"})
    prediction = predictions.get(transaction_id)
    if prediction is None:
        raise UnknownTransactionError(transaction_id)
    model = models.get(prediction.model)
    if model is None:
        raise PermanentError(f"no valid model file of {prediction.model!r} was loaded")
    label = read_label(model, actual)
    outcome = labels.add(transaction_id, label, source)
    return FeedbackResult(
        transaction_id=transaction_id,
        model=model.name,
        actual=label,
        outcome=outcome,
        history=tuple(labels.history(transaction_id)),
    )


def read_label(model: ModelFile, actual: object) -> str:
    """Return the model's label that ``actual`` means; case and outer spaces are ignored.

    The model's own labels are compared first, then 1 / 0, true / false and yes / no.

    Raises
    ------
    FeatureError
        ``actual`` is not an accepted value; the message lists the accepted values.
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
    expected = f"{model.positive_label} (or 1, true, yes), {model.negative_label} (or 0, false, no)"
    raise FeatureError({"actual": f"expected {expected}; found {str(actual)[:40]!r}"})
