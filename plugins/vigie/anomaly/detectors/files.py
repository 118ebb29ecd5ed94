"""Detectors as files of a bundle: built by name, packed with golden lines, unpacked only if they
still agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from vigie.anomaly.detectors.base import DETECTORS, ISOLATION_FOREST, LSTM_AUTOENCODER
from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.anomaly.detectors.base import Detector

MANIFEST = "detector.json"
GOLDEN = "golden.json"
N_GOLDEN = 8
TOLERANCE = 1e-3
"""Relative: another processor's arithmetic moves a score by 1e-6, other weights by far more."""


def build_detector(name: str, **params: Any) -> Detector:
    """Return an untrained detector.

    Raises
    ------
    DataError
        For a name that is not a detector's; it lists the names.
    """
    detector: Detector = _kind(name)(**params)
    return detector


def _kind(name: str) -> Any:
    if name == LSTM_AUTOENCODER:
        from vigie.anomaly.detectors.lstm_autoencoder import LstmAutoencoder

        return LstmAutoencoder
    if name == ISOLATION_FOREST:
        from vigie.anomaly.detectors.isolation_forest import LogIsolationForest

        return LogIsolationForest
    raise DataError(f"no detector is called {name!r}; there are: {', '.join(DETECTORS)}")


def pack(detector: Detector, lines: Sequence[str], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a bundle's files: the detector's own, golden lines with their scores, and facts (JSON
    types)."""
    golden = list(lines[:N_GOLDEN])
    scores = [float(score) for score in detector.score(golden)]
    return {
        **detector.pack(),
        GOLDEN: orjson.dumps({"lines": golden, "scores": scores}),
        MANIFEST: orjson.dumps({"name": detector.name, **facts}),
    }


def unpack(files: Mapping[str, bytes]) -> Detector:
    """Return the detector of a bundle.

    Raises
    ------
    DataError
        A file is missing or is not what it should be, or a golden line has another score than at
        training.
    """
    try:
        facts = read_facts(files)
        golden = orjson.loads(files[GOLDEN])
        detector: Detector = _kind(str(facts["name"])).unpack(files)
        scores = detector.score(golden["lines"])
    except _refusals() as exc:
        raise DataError(f"not the files of a detector: {type(exc).__name__}: {exc}") from exc
    for line, expected, score in zip(golden["lines"], golden["scores"], scores, strict=True):
        if not abs(score - expected) <= TOLERANCE * max(1.0, abs(expected)):
            raise DataError(f"golden line {line!r}: expected the score {expected}, got {score}")
    return detector


def read_facts(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what was recorded with the detector at training."""
    facts: dict[str, Any] = orjson.loads(files[MANIFEST])
    return facts


def _refusals() -> tuple[type[Exception], ...]:
    """Return what wrong files raise: JSON, safetensors, torch, zip and skops each in their way."""
    from safetensors import SafetensorError

    plain = (KeyError, TypeError, ValueError, RuntimeError)
    return (*plain, SafetensorError, DataError)
