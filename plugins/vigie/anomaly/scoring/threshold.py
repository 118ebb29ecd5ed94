"""Classify scores with a fixed threshold, or with ``mean + factor * std`` of earlier scores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vigie.anomaly.scoring.welford import Welford, running
from vigie.errors import DataError

FACTOR = 3.0
WARM_UP = 100
"""Number of scores before the dynamic threshold applies; until then ``is_anomaly`` is None."""

STD_FLOOR = 1e-3
"""Lower bound of the standard deviation. Without this bound, rounding errors in the scores of
repeated lines would be anomalies."""

UPDATES = ("all", "winsorised", "skip-anomalies")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Classification of one score and the values used for it; None if not known yet."""

    is_anomaly: bool | None
    threshold: float | None
    mean: float | None
    std: float | None


@dataclass(frozen=True, slots=True)
class DynamicThreshold:
    """Classify each score with the threshold of the earlier scores, then update the threshold.

    Parameters
    ----------
    factor
        Number of standard deviations above the mean, at least 0.
    fixed
        Constant threshold that replaces the dynamic one. Mean and std are still reported.
    update
        Scores that update the state. The recalls below were measured on scores of which 10 % are
        a burst of anomalies at mean + 6 std (``test_threshold.py``).

        * ``all`` (default): every score. A burst raises the threshold (recall 0.40).
        * ``winsorised``: every score; one above the threshold counts as it (recall 0.89).
        * ``skip-anomalies``: every score that is not an anomaly (recall 1.00). After a lasting
          increase of the scores, every score is an anomaly.
    state
        Mean and variance of the earlier scores.

    Examples
    --------
    >>> threshold = DynamicThreshold(factor=3.0, state=Welford(n=100, total_mean=1.0, m2=99.0))
    >>> verdicts, after = threshold.classify([0.5, 9.0])
    >>> [v.is_anomaly for v in verdicts], verdicts[0].threshold, after.state.n
    ([False, True], 4.0, 102)
    """

    factor: float = FACTOR
    fixed: float | None = None
    update: str = "all"
    state: Welford = field(default_factory=Welford)

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise DataError(f"update must be one of {', '.join(UPDATES)}, not {self.update!r}")
        if not (math.isfinite(self.factor) and self.factor >= 0):
            raise DataError(f"factor must be a finite number of at least 0, not {self.factor}")
        if self.fixed is not None and not math.isfinite(self.fixed):
            raise DataError(f"threshold must be a finite number, not {self.fixed}")

    def classify(self, scores: Sequence[float]) -> tuple[list[Verdict], DynamicThreshold]:
        """Return a verdict for each score, and the updated threshold.

        Raises
        ------
        DataError
            A score is not finite. NaN would make every later threshold NaN.
        """
        x = np.asarray(scores, dtype=np.float64)
        if not np.isfinite(x).all():
            raise DataError("cannot classify a score that is not finite")
        if self.update == "all":
            return self._classify_batch(x)
        return self._classify_one_by_one(x.tolist())

    def _classify_batch(
        self, x: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> tuple[list[Verdict], DynamicThreshold]:
        means, stds, state = running(self.state, x)
        seen = zip(
            range(self.state.n, state.n), x.tolist(), means.tolist(), stds.tolist(), strict=True
        )
        verdicts = [self._verdict(n, score, mean, std) for n, score, mean, std in seen]
        return verdicts, replace(self, state=state)

    def _classify_one_by_one(
        self, scores: Sequence[float]
    ) -> tuple[list[Verdict], DynamicThreshold]:
        verdicts: list[Verdict] = []
        state = self.state
        for score in scores:
            verdict = self._verdict(state.n, score, state.mean, state.std)
            verdicts.append(verdict)
            if not verdict.is_anomaly:
                state = state.update(score)
            elif self.update == "winsorised" and verdict.threshold is not None:
                state = state.update(verdict.threshold)
        return verdicts, replace(self, state=state)

    def _verdict(self, n: int, score: float, mean: float, std: float) -> Verdict:
        known = mean if n else None, std if n > 1 else None
        if self.fixed is not None:
            return Verdict(score > self.fixed, self.fixed, *known)
        if n < WARM_UP:
            return Verdict(None, None, *known)
        threshold = mean + self.factor * max(std, STD_FLOOR)
        return Verdict(score > threshold, threshold, *known)


def pack_state(state: Welford, model_version: int, detector: str) -> str:
    """Serialise the state in full precision as metadata of an offset (about 100 characters).

    Examples
    --------
    >>> pack_state(Welford(3, 0.1, 0.2), 7, "log_lstm_autoencoder")
    '{"detector": "log_lstm_autoencoder", "version": 7, "n": 3, "mean": 0.1, "m2": 0.2}'
    """
    known = {"n": state.n, "mean": state.total_mean, "m2": state.m2}
    return json.dumps({"detector": detector, "version": model_version, **known})


def unpack_state(packed: str, model_version: int, detector: str) -> Welford | None:
    """Return the committed state; None if there is none or another detector or version wrote it.

    Raises
    ------
    DataError
        The metadata was not written by this module.
    """
    if not packed:
        return None
    try:
        known = json.loads(packed)
        if (known["detector"], known["version"]) != (detector, model_version):
            return None
        return Welford(int(known["n"]), float(known["mean"]), float(known["m2"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise DataError(
            f"the committed metadata is not a threshold state: {packed[:80]!r}"
        ) from exc
