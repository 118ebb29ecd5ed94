"""Limits and normalisation that every store and stream applies to the records it accepts."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime

from vigie.encoding import as_stored, aware, clean
from vigie.errors import DataError
from vigie.records import Decision, Prediction

#: Kafka refuses 4096 bytes of offset metadata; 3 KB leaves room for what it adds.
MAX_METADATA_BYTES = 3072

#: Bytes of records after which one poll returns, so that a thousand large records are never in
#: memory at once.
MAX_POLL_BYTES = 16 << 20

ALLOW_GAP_ADVICE = "to continue after the gap: vigie stream consume --allow-gap"
"""For the error about records that retention deleted before a group read them."""


def storable_prediction(prediction: Prediction) -> Prediction:
    """Return a prediction as every store accepts it.

    Raises
    ------
    DataError
        The probability is not finite, or the time has no zone.
    """
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
    """Return a decision as every ledger stores it; ``at`` is its time unless it has one."""
    return dataclasses.replace(
        decision,
        verdict=clean(decision.verdict),
        reasons=tuple(clean(reason) for reason in decision.reasons),
        evidence=as_stored(decision.evidence),
        actor=clean(decision.actor),
        at=aware(decision.at or at, "at"),
    )


def check_metadata(metadata: str) -> None:
    """Check a consumer's state before it is committed with an offset.

    Raises
    ------
    DataError
        It is longer than ``MAX_METADATA_BYTES``, or contains characters that some store would
        change.
    """
    if clean(metadata) != metadata:
        raise DataError(
            "the consumer's state contains NUL or lone surrogates; pack it as plain text"
        )
    if (size := len(metadata.encode())) > MAX_METADATA_BYTES:
        raise DataError(
            f"the consumer's state has {size} bytes, an offset takes at most {MAX_METADATA_BYTES}; "
            "keep the rest in the state store"
        )
