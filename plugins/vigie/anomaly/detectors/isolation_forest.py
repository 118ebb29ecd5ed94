"""Isolation forest on the rarity of the words and word pairs of a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors.numpy import load, save
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import HashingVectorizer

from vigie import skops_files
from vigie.anomaly.detectors.registry import ISOLATION_FOREST, TokenLoss
from vigie.anomaly.detectors.vocabulary import tokens
from vigie.errors import DataError

BUCKETS = 2**14
SAMPLE = 4096
"""Number of lines drawn for the training sample, in proportion to their counts. A forest trained on
distinct lines gives the many rare normal lines too much weight: on BGL its ranking was worse than
chance (area under the curve .28 instead of .93)."""

ANCHORS = 64
"""Number of artificial training rows between the rarest line and a line of unseen words. Trees
split only where their rows differ. Without these rows, a line that is rarer than all training lines
would get the score of the rarest training line."""

TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")
"""Types that a stored forest may contain in addition to the types that skops trusts by default."""


class LogIsolationForest:
    """Score a line by its isolation (0 to 1) in an isolation forest.

    The features are the mean and the highest rarity of the line's words and of its word pairs. The
    rarity of a hashed word is its inverse document frequency, ``log((1 + n) / (1 +
    n_with_word))``. Source of the forest: Liu, Ting, Zhou, *Isolation Forest* (ICDM 2008).

    Parameters
    ----------
    trees
        Number of trees.
    seed
        Seed of the sample and the forest. The same lines and seed give the same scores.
    """

    name = ISOLATION_FOREST

    def __init__(self, *, trees: int = 100, seed: int = 0) -> None:
        self._settings = {"trees": trees, "seed": seed}
        self._rarity: list[NDArray[np.float64]] = []
        self._forest: Any = None

    @property
    def params(self) -> Mapping[str, Any]:
        return {**self._settings, "buckets": BUCKETS, "sample": SAMPLE}

    @property
    def losses(self) -> Sequence[float]:
        """Return an empty sequence, because a forest has no epochs."""
        return ()

    def fit(self, lines: Sequence[str], weights: Sequence[float] | None = None) -> Self:
        """Count the words and word pairs, then train the forest."""
        if not lines:
            raise DataError("a detector needs at least one line to train on")
        counts = np.ones(len(lines)) if weights is None else np.asarray(weights, dtype=np.float64)
        present = [_hashed(lines, size) for size in (1, 2)]
        self._rarity = [
            np.log((1.0 + counts.sum()) / (1.0 + np.asarray(X.T @ counts).ravel())) for X in present
        ]
        rows = self._rows(self._features(lines), counts)
        forest = IsolationForest(
            n_estimators=self._settings["trees"], random_state=self._settings["seed"], n_jobs=1
        )
        self._forest = forest.fit(rows)
        return self

    def _rows(
        self, features: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        draw = np.random.default_rng(self._settings["seed"])
        lines = features[draw.choice(len(features), SAMPLE, p=counts / counts.sum())]
        unseen = np.log1p(counts.sum())
        anchors = draw.uniform(features.max(axis=0), unseen, (ANCHORS, features.shape[1]))
        return np.concatenate([lines, anchors])

    def score(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return ``-score_samples`` of scikit-learn for each line: higher is more anomalous."""
        if self._forest is None:
            raise DataError(f"{self.name} is not trained; call fit or unpack first")
        if not lines:
            return np.empty(0)
        scores: NDArray[np.float64] = -self._forest.score_samples(self._features(lines))
        return scores

    def explain(self, line: str) -> list[TokenLoss]:
        """Return the tokens of a line, the rarest first.

        The rarity of a word pair is added to that of its second word.
        """
        words = tokens(line)
        pairs = [" ".join(pair) for pair in pairwise(words)]
        single = self._rarity[0][_hashed(words, 1).indices]
        ending = np.concatenate([[0.0], [self._pair_rarity(pair) for pair in pairs]])
        found = [
            TokenLoss(word, round(float(loss), 6))
            for word, loss in zip(words, single + ending, strict=True)
        ]
        return sorted(found, key=lambda item: -item.loss)

    def _pair_rarity(self, pair: str) -> float:
        return float(self._rarity[1][_hashed([pair], 2).indices].max(initial=0.0))

    def _features(self, lines: Sequence[str]) -> NDArray[np.float64]:
        columns: list[NDArray[np.float64]] = []
        for size, rarity in zip((1, 2), self._rarity, strict=True):
            X = _hashed(lines, size)
            number = np.maximum(np.diff(X.indptr), 1)
            X.data = rarity[X.indices]
            columns += [np.asarray(X.sum(axis=1)).ravel() / number, X.max(axis=1).toarray().ravel()]
        return np.stack(columns, axis=1)

    def pack(self) -> dict[str, bytes]:
        """Return the files of the forest (skops), rarities (safetensors) and settings (JSON)."""
        if self._forest is None:
            raise DataError(f"{self.name} is not trained; there is nothing to pack")
        return {
            "model.skops": skops_files.dump(self._forest),
            "rarity.safetensors": save({str(n): r for n, r in enumerate(self._rarity, 1)}),
            "forest.json": orjson.dumps(self._settings),
        }

    @classmethod
    def unpack(cls, files: Mapping[str, bytes]) -> Self:
        """Rebuild the detector; reject types that neither skops nor ``TRUSTED`` allows."""
        detector = cls(**orjson.loads(files["forest.json"]))
        rarity = load(files["rarity.safetensors"])
        detector._rarity = [rarity["1"], rarity["2"]]
        detector._forest = skops_files.load(files["model.skops"], TRUSTED)
        return detector

    def view(self) -> tuple[Any, Any]:
        """Return the forest and an example input of two rows of features."""
        return self._forest, np.array([[0.5, 1.0, 0.5, 1.0], [3.0, 9.0, 4.0, 9.0]])


def _hashed(lines: Sequence[str], size: int) -> Any:
    """Return the hashed words (or pairs, for size 2) of each line: a sparse (n, BUCKETS) matrix."""
    texts = [" ".join(tokens(line)) for line in lines]
    vectorizer = HashingVectorizer(
        n_features=BUCKETS, ngram_range=(size, size), token_pattern=r"\S+", lowercase=False,
        binary=True, norm=None, alternate_sign=False,
    )  # fmt: skip
    return vectorizer.transform(texts)
