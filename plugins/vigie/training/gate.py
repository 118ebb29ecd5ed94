"""The gate: a challenger replaces the champion only if the same hold-out says that it may.

It is promoted if every check holds:

* *beyond chance*: it ranks positives above negatives far better than a coin;
* *dummy*: its figure is above that of the best answer that ignores the features;

and, when there is a champion,

* *gain*: its figure is at least ``min_gain`` above the champion's;
* *certainty*: the lower end of the gain's confidence interval is at least ``-tolerance``, so that a
  gain by luck on few rows is not enough;
* *guards*: no guarded figure is more than the allowed loss below the champion's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from vigie.training.bootstrap import Bools
from vigie.training.gate_checks import Contender, against_champion, against_chance
from vigie.training.metrics import checked

if TYPE_CHECKING:
    from vigie.models.model_file import Gate

__all__ = ["Contender", "GateVerdict", "compare"]


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether to promote, the sentences that say why, and every number compared."""

    promote: bool
    reasons: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def compare(
    y: ArrayLike,
    challenger: Contender,
    champion: Contender | None,
    *,
    metric: str,
    rules: Gate,
    seed: int = 0,
) -> GateVerdict:
    """Compare two models on the hold-out; without a champion, one model with chance.

    Parameters
    ----------
    y
        The hold-out's labels, shape (n,), 1 for the positive one; both answered these rows.
    challenger, champion
        The contenders; each is judged at its own threshold.
    metric
        The figure that selects, one of :data:`vigie.models.names.METRICS`.
    rules
        The model file's ``[gate]``.
    seed
        Of the bootstrap; the verdict is the same at every try.

    Returns
    -------
    GateVerdict
        ``reasons`` are the checks that failed, or, when none did, all of them.
    """
    truth, new = checked(y, challenger.probability)
    facts = _facts(truth, challenger, champion, metric)
    if truth.all() or not truth.any():
        n = int(truth.sum())
        reason = f"the hold-out has {n} positives in {len(truth)} rows; it needs both labels"
        return GateVerdict(False, (reason,), facts)
    checks = [*against_chance(truth, new, challenger, metric)]
    if champion is not None:
        checks = [
            *against_champion(truth, challenger, champion, metric, rules, seed),
            *checks,
        ]
    for check in checks:
        facts |= check.facts
    facts["checks"] = {check.name: check.holds for check in checks}
    failed = tuple(check.reason for check in checks if not check.holds)
    return GateVerdict(not failed, failed or tuple(check.reason for check in checks), facts)


def _facts(
    truth: Bools, challenger: Contender, champion: Contender | None, metric: str
) -> dict[str, Any]:
    return {
        "metric": metric,
        "n_rows": len(truth),
        "n_positives": int(truth.sum()),
        "challenger": challenger.name,
        "champion": None if champion is None else champion.name,
        "challenger_threshold": challenger.threshold,
        "champion_threshold": None if champion is None else champion.threshold,
    }
