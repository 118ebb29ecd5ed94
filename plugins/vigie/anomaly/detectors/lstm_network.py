"""The network: embedding → LSTM encoder → latent → LSTM decoder → projection onto the
vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vigie.anomaly.detectors.vocabulary import PAD


class LineAutoencoder(nn.Module):
    """Reconstruct a line from its latent vector, one token after the other.

    The decoder sees the latent vector and the tokens *before* the one it predicts. On 1,000 lines
    of BGL this ranked anomalies better than a decoder that sees the latent vector alone (average
    precision .74 against .44) and learned in a third of the time.

    Parameters
    ----------
    vocabulary
        Number of words, padding and unknown included.
    embedding, hidden, latent
        Sizes of the vectors.
    """

    def __init__(self, vocabulary: int, embedding: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.encoder = nn.LSTM(embedding, hidden, batch_first=True)
        self.latent = nn.Linear(hidden, latent)
        self.decoder = nn.LSTM(embedding + latent, hidden, batch_first=True)
        self.projection = nn.Linear(hidden, vocabulary)

    def states(self, lines: Tensor) -> Tensor:
        """Return the decoder's states (n, length, hidden) for word numbers (n, length), padded on
        the right."""
        embedded = self.embedding(lines)
        encoded, _ = self.encoder(embedded)
        last = (lines != PAD).sum(dim=1).clamp(min=1) - 1
        summary = encoded[torch.arange(lines.shape[0]), last]
        latent = torch.tanh(self.latent(summary)).unsqueeze(1).expand(-1, lines.shape[1], -1)
        before = nn.functional.pad(embedded[:, :-1], (0, 0, 1, 0))
        decoded: Tensor = self.decoder(torch.cat([before, latent], dim=2))[0]
        return decoded

    def forward(self, lines: Tensor) -> Tensor:
        """Return the mean cross-entropy per token of each line (n,), padding ignored."""
        lines = lines.long()  # a tracking server's examples are floats
        losses = token_losses(self, lines)
        return losses.sum(dim=1) / (lines != PAD).sum(dim=1).clamp(min=1)


def token_losses(network: LineAutoencoder, lines: Tensor) -> Tensor:
    """Return the cross-entropy of each token (n, length), 0 where there is padding."""
    logits = network.projection(network.states(lines).flatten(end_dim=1))
    losses = nn.functional.cross_entropy(
        logits, lines.flatten(), ignore_index=PAD, reduction="none"
    )
    return losses.view(lines.shape)


def padded(lines: Sequence[Sequence[int]], length: int, rows: int | None = None) -> Tensor:
    """Return the lines as a (rows, length) tensor, padded on the right and below."""
    batch = torch.full((rows or len(lines), length), PAD, dtype=torch.long)
    for row, line in enumerate(lines):
        batch[row, : len(line)] = torch.tensor(line, dtype=torch.long)
    return batch


@contextmanager
def one_thread(seed: int | None = None) -> Iterator[None]:
    """Compute on one thread, with a seed of its own, and leave the process as it was."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        torch.set_num_threads(1)
        if seed is not None:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
