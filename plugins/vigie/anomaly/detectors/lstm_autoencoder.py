"""LSTM autoencoder of log lines; the score of a line is its reconstruction error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, inference_mode

from vigie.anomaly.detectors.lstm_network import (
    WORK,
    LineAutoencoder,
    epochs_within,
    one_thread,
    padded,
    token_losses,
    train,
)
from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER, TokenLoss
from vigie.anomaly.detectors.vocabulary import MAX_LEN, Vocabulary, tokens
from vigie.errors import DataError

ROWS = 32
"""Number of lines per call of the network; a call with fewer lines is padded. The shapes of the
matrix products, and therefore the last bits of a score, then do not depend on the other lines.
Calls of more than about 64 lines are slower."""

LENGTHS = (8, 16, 24, 32, MAX_LEN)
"""A line is padded to the smallest of these lengths that it fits into."""

DECIMALS = 6


class LstmAutoencoder:
    """Score a line by the mean cross-entropy per token of its reconstruction, in nats.

    The score is 0 for a perfect reconstruction. Source: the specification of the log stream
    (embedding → LSTM → latent vector → LSTM → vocabulary; padding is ignored).

    Parameters
    ----------
    embedding, hidden, latent
        Sizes of the network.
    epochs
        Maximum number of epochs, see :func:`vigie.anomaly.detectors.lstm_network.epochs_within`.
    seed
        Seed of the training. The same lines and seed give the same scores on the same machine,
        unless the time limit is reached.
    time_limit_s
        Training ends after the epoch in which this limit is reached.
    """

    name = LSTM_AUTOENCODER

    def __init__(
        self,
        *,
        embedding: int = 48,
        hidden: int = 96,
        latent: int = 48,
        epochs: int = 60,
        seed: int = 0,
        time_limit_s: float = 60.0,
    ) -> None:
        self._sizes = {"embedding": embedding, "hidden": hidden, "latent": latent}
        self._training = {"epochs": epochs, "seed": seed, "time_limit_s": time_limit_s}
        self._vocabulary = Vocabulary(())
        self._network: LineAutoencoder | None = None
        self._losses: list[float] = []

    @property
    def params(self) -> Mapping[str, Any]:
        return {**self._sizes, **self._training, "vocabulary": len(self._vocabulary)}

    @property
    def losses(self) -> Sequence[float]:
        return self._losses

    def fit(self, lines: Sequence[str], weights: Sequence[float] | None = None) -> Self:
        """Train the network to reconstruct distinct lines."""
        if not lines:
            raise DataError("a detector needs at least one line to train on")
        counts = list(weights) if weights is not None else [1.0] * len(lines)
        self._vocabulary = Vocabulary.build(lines, counts)
        encoded = [self._vocabulary.encode(line) for line in lines]
        seed, limit = int(self._training["seed"]), float(self._training["time_limit_s"])
        with one_thread(seed):
            network = LineAutoencoder(len(self._vocabulary), **self._sizes)
            epochs = epochs_within(WORK, encoded, network, int(self._training["epochs"]))
            training = train(network, encoded, counts, epochs=epochs, seed=seed, time_limit_s=limit)
            self._losses = list(training)
        self._network = network.eval()
        return self

    def score(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return the mean cross-entropy per token of each line."""
        means = [losses.mean() for losses in self._token_losses(lines)]
        scores: NDArray[np.float64] = np.array(means, dtype=np.float64)
        return np.asarray(scores.round(DECIMALS), dtype=np.float64)

    def explain(self, line: str) -> list[TokenLoss]:
        """Return the tokens of a line with their cross-entropy, highest first."""
        losses = self._token_losses([line])[0]
        found = [
            TokenLoss(token, round(float(loss), DECIMALS))
            for token, loss in zip(tokens(line), losses, strict=True)
        ]
        return sorted(found, key=lambda item: -item.loss)

    def _token_losses(self, lines: Sequence[str]) -> list[NDArray[np.float64]]:
        encoded = [self._vocabulary.encode(line) for line in lines]
        found: list[NDArray[np.float64]] = [np.empty(0)] * len(lines)
        with one_thread(), inference_mode():
            for length in LENGTHS:
                rows = [i for i, line in enumerate(encoded) if _padded_length(line) == length]
                for start in range(0, len(rows), ROWS):
                    chunk = rows[start : start + ROWS]
                    losses = self._losses_of(padded([encoded[i] for i in chunk], length, ROWS))
                    for row, i in enumerate(chunk):
                        found[i] = losses[row, : len(encoded[i])].astype(np.float64)
        return found

    def _losses_of(self, batch: Tensor) -> NDArray[np.float32]:
        if self._network is None:
            raise DataError(f"{self.name} is not trained; call fit or unpack first")
        losses: NDArray[np.float32] = token_losses(self._network, batch).numpy()
        return losses

    def pack(self) -> dict[str, bytes]:
        """Return the files of the weights (safetensors), the vocabulary and the settings (JSON)."""
        if self._network is None:
            raise DataError(f"{self.name} is not trained; there is nothing to pack")
        return {
            "model.safetensors": save(self._network.state_dict()),
            "vocab.json": self._vocabulary.pack(),
            "network.json": orjson.dumps({"sizes": self._sizes, "training": self._training}),
        }

    @classmethod
    def unpack(cls, files: Mapping[str, bytes]) -> Self:
        settings = orjson.loads(files["network.json"])
        detector = cls(**settings["sizes"], **settings["training"])
        detector._vocabulary = Vocabulary.unpack(files["vocab.json"])
        network = LineAutoencoder(len(detector._vocabulary), **detector._sizes)
        network.load_state_dict(load(files["model.safetensors"]))
        detector._network = network.eval()
        return detector

    def view(self) -> tuple[Any, Any]:
        """Return the network and an example input of two padded lines."""
        return self._network, padded([[2, 3], [2]], LENGTHS[0]).numpy().astype("float32")


def _padded_length(line: Sequence[int]) -> int:
    return next(length for length in LENGTHS if len(line) <= length)
