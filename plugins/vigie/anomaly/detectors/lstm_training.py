"""Fit the autoencoder within a bounded amount of work."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from vigie.anomaly.detectors.lstm_network import LineAutoencoder, padded
from vigie.anomaly.detectors.vocabulary import PAD

BATCH = 64
STEPS = 8
"""Steps of an epoch, at least, if there are lines for it: few templates get smaller batches, else
they would hardly be learned (a quiet system has forty)."""

LEARNING_RATE = 0.01
MIN_EPOCHS = 4
WORK = 6e11
"""Floating-point operations of a whole training, 10 to 20 s of one core: epochs are reduced to stay
within them. Counting work instead of seconds keeps a training reproducible; the time limit is only
the last resort."""


def epochs_within(
    work: float, lines: Sequence[Sequence[int]], network: LineAutoencoder, epochs: int
) -> int:
    """Return how many of the wanted epochs fit into ``work``, at least ``MIN_EPOCHS``."""
    weights = sum(p.numel() for name, p in network.named_parameters() if name != "embedding.weight")
    an_epoch = 6.0 * weights * sum(map(len, lines))  # 2 forward, 4 backward, a weight and token
    return min(epochs, max(MIN_EPOCHS, int(work / an_epoch)))


def train(
    network: LineAutoencoder,
    lines: Sequence[Sequence[int]],
    weights: Sequence[float],
    *,
    epochs: int,
    seed: int,
    time_limit_s: float,
) -> Iterator[float]:
    """Yield the mean cross-entropy per token of each epoch while learning it.

    Frequent lines weigh ``1 + log(weight)``: a line seen a million times must not hide the rare
    normal ones.
    """
    deadline = time.monotonic() + time_limit_s
    batch = max(1, min(BATCH, len(lines) // STEPS))
    steps = epochs * math.ceil(len(lines) / batch)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=LEARNING_RATE, total_steps=steps
    )
    damped = [1.0 + math.log(max(weight, 1.0)) for weight in weights]
    shuffler = random.Random(seed)
    for _ in range(epochs):
        total = seen = 0.0
        for rows in _batches(lines, batch, shuffler):
            loss = _step(network, [lines[i] for i in rows], [damped[i] for i in rows], optimiser)
            schedule.step()
            total, seen = total + loss * len(rows), seen + len(rows)
        yield total / seen
        if time.monotonic() > deadline:
            return


def _batches(lines: Sequence[Sequence[int]], size: int, shuffler: random.Random) -> list[list[int]]:
    """Shuffle, keeping lines of similar length together: little padding."""
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]) + 4 * shuffler.random())
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    shuffler.shuffle(batches)
    return batches


def _step(
    network: LineAutoencoder,
    lines: Sequence[Sequence[int]],
    weights: Sequence[float],
    optimiser: torch.optim.Optimizer,
) -> float:
    batch = padded(lines, max(map(len, lines)))
    there = batch != PAD  # projecting padding too would be most of the work
    logits = network.projection(network.states(batch)[there])
    losses = nn.functional.cross_entropy(logits, batch[there], reduction="none")
    share = torch.tensor(weights) / there.sum(dim=1)
    loss = (losses * share.unsqueeze(1).expand_as(batch)[there]).sum() / sum(weights)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())
