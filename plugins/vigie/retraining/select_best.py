"""Selection of the challenger from the candidates of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import DataError
from vigie.records import JobResult
from vigie.registry.decisions import decide, decided
from vigie.retraining.run_files import REPORT, staging_folder
from vigie.training.staging import read_staged

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import ProjectPaths
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectResult(JobResult):
    """The selected candidate and the score of every candidate."""

    model: str
    run_id: str
    candidate: str
    metric: str
    scores: Mapping[str, float | None]


def select_best(services: Services, *, model: ModelFile, run_id: str) -> SelectResult:
    """Select the candidate with the best cross-validated metric, and record the decision.

    Metrics on the hold-out are ignored, so that the gate's comparison stays unbiased. If several
    candidates have the best value, the one that the model file lists first is selected.

    Raises
    ------
    DataError
        The metric is undefined for every candidate.
    """
    recorded = decided(services.ledger, model.name, "select", run_id)
    if recorded is None:
        metric, scores = model.training.metric, _scores(services.paths, model, run_id)
        known = {name: score for name, score in scores.items() if score is not None}
        if not known:
            raise DataError(f"{model.name}: {metric} is undefined for all candidates of {run_id}")
        best = max(known, key=known.__getitem__)  # Of equal values, max returns the first.
        recorded = decide(
            services.ledger,
            model=model.name,
            kind="select",
            run_id=run_id,
            verdict="yes",
            reasons=[f"{best} has the best cross-validated {metric}: {_shown(scores)}"],
            evidence={"candidate": best, "metric": metric, "scores": scores},
        )
    evidence = recorded.evidence
    return SelectResult(
        model=model.name,
        run_id=run_id,
        candidate=evidence["candidate"],
        metric=evidence["metric"],
        scores=evidence["scores"],
    )


def _scores(paths: ProjectPaths, model: ModelFile, run_id: str) -> dict[str, float | None]:
    scores: dict[str, float | None] = {}
    for name in model.training.candidates:
        files = read_staged(staging_folder(paths, model.name, run_id) / name)
        report = json.loads(files[REPORT])
        value = report["cross_validated"].get(model.training.metric)
        scores[name] = value if value is not None and math.isfinite(value) else None
    return scores


def _shown(scores: Mapping[str, float | None]) -> str:
    return ", ".join(f"{k} {'unknown' if v is None else f'{v:.4f}'}" for k, v in scores.items())
