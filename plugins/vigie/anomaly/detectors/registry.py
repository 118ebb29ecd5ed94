"""Protocol and registry of detectors, and the files of a detector in a bundle.

To add a detector, write its module and add its name and class to ``DETECTORS``.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson

from vigie.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LSTM_AUTOENCODER = "log_lstm_autoencoder"
ISOLATION_FOREST = "log_isolation_forest"
DETECTORS = {
    LSTM_AUTOENCODER: "vigie.anomaly.detectors.lstm_autoencoder:LstmAutoencoder",
    ISOLATION_FOREST: "vigie.anomaly.detectors.isolation_forest:LogIsolationForest",
}
"""Classes by registered name. They are imported on first use, because torch and scikit-learn take
seconds to import."""

MANIFEST = "detector.json"
GOLDEN = "golden.json"
N_GOLDEN = 8
TOLERANCE = 1e-3
"""Tolerance for the scores of golden lines, relative for scores above 1. Another processor changes
a score by about 1e-6; different weights change a score by far more."""


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """A token of a line and its contribution to the line's score (higher: more anomalous)."""

    token: str
    loss: float


class Detector(Protocol):
    """Score normalised log lines; **higher is more anomalous**.

    A line is a template (see ``anomaly.scoring.normalise``) with at least one token; a blank line
    raises DataError. The score of a line must not depend on the other lines of the call, because a
    replay divides the lines into different batches.
    """

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Return the settings and the values determined by ``fit`` (JSON types)."""

    @property
    def losses(self) -> Sequence[float]:
        """Return the training loss of each epoch; empty for a detector without epochs."""

    def fit(self, lines: Sequence[str], weights: Sequence[float] | None = None) -> Self:
        """Learn from *distinct* normal lines; ``weights`` are their counts (None: 1 each)."""

    def score(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return one finite score per line, shape (n,)."""

    def explain(self, line: str) -> list[TokenLoss]:
        """Return the tokens of a line, the most anomalous first."""

    def pack(self) -> dict[str, bytes]:
        """Return the files from which ``unpack`` rebuilds the detector; no file is a pickle."""

    @classmethod
    def unpack(cls, files: Mapping[str, bytes]) -> Self: ...

    def view(self) -> tuple[Any, Any]:
        """Return a scikit-learn estimator or torch module and an example of its input.

        The tracking server stores both.
        """


def build_detector(
    name: str, *, epochs: int | None = None, seed: int | None = None, **params: Any
) -> Detector:
    """Return an untrained detector.

    Parameters
    ----------
    name
        A key of ``DETECTORS``.
    epochs, seed
        Passed to a detector that accepts them, ignored for others. None: the detector's default.
    params
        Arguments of the detector's class.

    Raises
    ------
    DataError
        No detector has this name.
    """
    kind = _class_of(name)
    accepted = inspect.signature(kind).parameters
    for key, value in (("epochs", epochs), ("seed", seed)):
        if value is not None and key in accepted:
            params[key] = value
    detector: Detector = kind(**params)
    return detector


def _class_of(name: str) -> Any:
    if name not in DETECTORS:
        raise DataError(f"unknown detector {name!r}; available detectors: {', '.join(DETECTORS)}")
    return pkgutil.resolve_name(DETECTORS[name])


def pack(detector: Detector, lines: Sequence[str], manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a bundle: the detector's files, the manifest and the golden lines.

    The golden lines are the first ``N_GOLDEN`` of ``lines``, stored with their scores.
    """
    golden = list(lines[:N_GOLDEN])
    scores = [float(score) for score in detector.score(golden)]
    return {
        **detector.pack(),
        GOLDEN: orjson.dumps({"lines": golden, "scores": scores}),
        MANIFEST: orjson.dumps({"name": detector.name, **manifest}),
    }


def unpack(files: Mapping[str, bytes]) -> Detector:
    """Return the detector of a bundle.

    Raises
    ------
    DataError
        A file is missing or invalid, or the score of a golden line differs from its score at
        training.
    """
    try:
        manifest = read_manifest(files)
        golden = orjson.loads(files[GOLDEN])
        detector: Detector = _class_of(str(manifest["name"])).unpack(files)
        scores = detector.score(golden["lines"])
        checked = list(zip(golden["lines"], golden["scores"], scores, strict=True))
    except _unpack_errors() as exc:
        raise DataError(f"cannot load the detector: {type(exc).__name__}: {exc}") from exc
    for line, expected, score in checked:
        if not abs(score - expected) <= TOLERANCE * max(1.0, abs(expected)):
            raise DataError(f"golden line {line!r}: expected the score {expected}, got {score}")
    return detector


def read_manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the values that were stored with the detector at training."""
    manifest: dict[str, Any] = orjson.loads(files[MANIFEST])
    return manifest


def _unpack_errors() -> tuple[type[Exception], ...]:
    """Return the errors that JSON, safetensors, torch, zip and skops raise for invalid files."""
    from safetensors import SafetensorError

    return (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, DataError)
