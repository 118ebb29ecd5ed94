"""Limits and normalisation that all stores and streams apply to the values they accept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from datetime import datetime

from vigie.encoding import as_stored, aware, clean
from vigie.errors import DataError
from vigie.records import Decision, Prediction

#: Kafka refuses more than 4 KB of offset metadata, in which vigie also stores a fencing token.
MAX_METADATA_BYTES = 3072

#: A poll returns after this many bytes of records, which limits the memory of a consumer.
MAX_POLL_BYTES = 16 << 20

ALLOW_GAP_ADVICE = "to continue after the gap: vigie stream consume --allow-gap"
"""Advice in the error about records that retention deleted before a group read them."""


def storable_prediction(prediction: Prediction) -> Prediction:
    """Return the prediction with values that every store accepts.

    Raises
    ------
    DataError
        The probability is not finite, the time has no time zone, or a feature has a type that JSON
        does not support.
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
    """Return the decision with values that every ledger accepts; its default time is ``at``."""
    return dataclasses.replace(
        decision,
        verdict=clean(decision.verdict),
        reasons=tuple(clean(reason) for reason in decision.reasons),
        evidence=as_stored(decision.evidence),
        actor=clean(decision.actor),
        at=aware(decision.at or at, "at"),
    )


def partition_error(topic: str, known: Collection[int], wanted: Collection[int]) -> DataError:
    """Return the error for partitions that a topic with the partitions ``known`` lacks."""
    if not known:
        return DataError(f"topic {topic!r} does not exist; run `vigie stream topic`")
    found = f"topic {topic!r} has the partitions {sorted(known)}"
    return DataError(f"{found}; requested: {sorted(wanted) or 'none'}")


def check_metadata(metadata: str) -> None:
    """Check the consumer state that is committed as metadata of an offset.

    Raises
    ------
    DataError
        The state is longer than ``MAX_METADATA_BYTES``, or contains NUL or lone surrogates.
    """
    if clean(metadata) != metadata:
        raise DataError(
            "the consumer's state contains NUL or lone surrogates; encode it, e.g. as Base64"
        )
    if (size := len(metadata.encode())) > MAX_METADATA_BYTES:
        raise DataError(
            f"the consumer's state has {size} bytes; the limit is {MAX_METADATA_BYTES} bytes; "
            "store larger values in the state store"
        )
