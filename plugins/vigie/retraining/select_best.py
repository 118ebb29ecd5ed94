"""Choose the challenger among a run's candidates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError
from vigie.records import JobResult
from vigie.registry.decisions import REPORT, decide, decided, staged_files

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectReport(JobResult):
    """The candidate that goes to the gate, and what every candidate scored."""

    model: str
    run_id: str
    candidate: str
    metric: str
    scores: Mapping[str, float | None]


def select_best(services: Services, *, model: ModelFile, run_id: str) -> SelectReport:
    """Take the candidate with the highest cross-validated value of the model file's metric.

    The hold-out plays no part: only the gate looks at it, once. Of equal candidates the one that
    the model file names first wins (write the simplest first). The choice is recorded.

    Raises
    ------
    DataError
        No candidate has a value of the metric.
    """
    recorded = decided(services, model.name, "select", run_id)
    if recorded is None:
        metric, scores = model.training.metric, _scores(services, model, run_id)
        known = {name: score for name, score in scores.items() if score is not None}
        if not known:
            raise DataError(f"{model.name}: no candidate of run {run_id} has a value of {metric}")
        best = max(known, key=known.__getitem__)  # max keeps the first of equals
        recorded = decide(
            services,
            model=model.name,
            kind="select",
            run_id=run_id,
            verdict="yes",
            reasons=[f"{best} has the best cross-validated {metric}: {_shown(scores)}"],
            facts={"candidate": best, "metric": metric, "scores": scores},
        )
    facts: Mapping[str, Any] = recorded.facts
    return SelectReport(
        model=model.name,
        run_id=run_id,
        candidate=facts["candidate"],
        metric=facts["metric"],
        scores=facts["scores"],
    )


def _scores(services: Services, model: ModelFile, run_id: str) -> dict[str, float | None]:
    scores: dict[str, float | None] = {}
    for name in model.training.candidates:
        report = json.loads(staged_files(services, model.name, run_id, name)[REPORT])
        value = report["cross_validated"].get(model.training.metric)
        scores[name] = value if value is not None and math.isfinite(value) else None
    return scores


def _shown(scores: Mapping[str, float | None]) -> str:
    return ", ".join(f"{k} {'unknown' if v is None else f'{v:.4f}'}" for k, v in scores.items())
