"""What every detector of log lines can do, and the names they are registered under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LSTM_AUTOENCODER = "log_lstm_autoencoder"
ISOLATION_FOREST = "log_isolation_forest"
DETECTORS = (LSTM_AUTOENCODER, ISOLATION_FOREST)


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """A token of a line and its part in the line's score (higher: more surprising)."""

    token: str
    loss: float


class Detector(Protocol):
    """Scores normalised log lines; **higher is more anomalous**.

    A line is a template (see ``anomaly.scoring.normalise``) with at least one token; a blank one
    raises DataError. A line's score depends on the line alone, never on its neighbours in the call:
    a replay batches differently.
    """

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Return what was chosen and what was found while fitting (JSON types)."""

    @property
    def losses(self) -> Sequence[float]:
        """Return the training loss of each epoch; empty for a detector without epochs."""

    def fit(self, lines: Sequence[str], weights: Sequence[float] | None = None) -> Self:
        """Learn what is normal from *distinct* lines and how often each was seen (None: once)."""

    def score(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return one finite score a line, shape (n,)."""

    def explain(self, line: str) -> list[TokenLoss]:
        """Return the tokens of a line, most surprising first."""

    def pack(self) -> dict[str, bytes]:
        """Return the files from which ``unpack`` rebuilds this detector; never a pickle."""

    @classmethod
    def unpack(cls, files: Mapping[str, bytes]) -> Self: ...

    def view(self) -> tuple[Any, Any]:
        """Return the model inside and an example of its input, for the tracking server."""
