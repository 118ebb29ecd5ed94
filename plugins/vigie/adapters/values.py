"""What a store makes of a value before it keeps it; pure, shared by adapters and fakes."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import orjson

from vigie.encoding import clean, dumps
from vigie.errors import DataError
from vigie.records import Decision, Prediction

#: Kafka refuses 4096 bytes of offset metadata; 3 KB leaves room for what it adds.
MAX_METADATA_BYTES = 3072

TO_GO_ON = "to go on behind them: vigie stream consume --allow-gap"
"""For the error of a stream that lost lines before a group read them."""

MAX_POLL_BYTES = 16 << 20
"""Bytes of lines after which a poll takes no further one: a thousand huge lines never are in memory
at once."""


def utcnow() -> datetime:
    """Return the time; the default clock of every store."""
    return datetime.now(UTC)


def as_stored(value: Any) -> Any:
    """Return a value as it comes back from a JSON column.

    Examples
    --------
    >>> as_stored({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    return orjson.loads(dumps(value))


def aware(value: datetime, what: str) -> datetime:
    """Return an instant in UTC; refuse one without a zone."""
    if value.tzinfo is None:
        raise DataError(f"{what} has no time zone: {value.isoformat()}; use an aware UTC datetime")
    return value.astimezone(UTC)


def storable_prediction(prediction: Prediction) -> Prediction:
    """Return a prediction as every store accepts it; refuse one without a finite probability."""
    if not math.isfinite(prediction.probability):
        raise DataError(
            f"prediction {prediction.transaction_id!r}: the probability is "
            f"{prediction.probability}, expected 0 to 1"
        )
    return dataclasses.replace(
        prediction,
        transaction_id=clean(prediction.transaction_id),
        features=as_stored(prediction.features),
        prediction=clean(prediction.prediction),
        message=clean(prediction.message),
        created_at=aware(prediction.created_at, "created_at"),
    )


def storable_decision(decision: Decision, at: datetime) -> Decision:
    """Return a decision as every ledger keeps it, with its time."""
    return dataclasses.replace(
        decision,
        verdict=clean(decision.verdict),
        reasons=tuple(clean(reason) for reason in decision.reasons),
        facts=as_stored(decision.facts),
        actor=clean(decision.actor),
        at=aware(decision.at or at, "at"),
    )


def check_metadata(metadata: str) -> None:
    """Refuse consumer state that is too long, or is not text that every store keeps exactly."""
    if clean(metadata) != metadata:
        raise DataError("the consumer's state has NUL or lone surrogates; pack it as plain text")
    if (size := len(metadata.encode())) > MAX_METADATA_BYTES:
        raise DataError(
            f"the consumer's state has {size} bytes, an offset takes at most {MAX_METADATA_BYTES}; "
            "keep the rest in the state store"
        )
