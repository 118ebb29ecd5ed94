"""Measure the detector that scores now on a fresh sample of log lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.ingest.files import PATTERNS, log_folder
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.normalise import Normaliser
from vigie.anomaly.training.load_training_logs import sample_lines
from vigie.errors import DataError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionReport(JobResult):
    """A champion's figures, as :class:`detectors.separation.Separation` names them."""

    detector: str
    model_version: int
    figures: Mapping[str, Any]


def measure_champion(
    services: Services, *, detector: str, base_dir: Path | None = None, max_lines: int = 5000
) -> ChampionReport:
    """Compare a sample's lines with synthetic corruptions of them. Changes nothing.

    The sample is of all lines, also of those that the detector may have learned from.
    """
    from vigie.anomaly.detectors.separation import separation

    champion = champion_detector(services, detector)
    base = base_dir or log_folder(services.paths.data, services.paths.local)
    sample = sample_lines(base, PATTERNS, max_lines)
    templates = [t for t in Normaliser().templates(sample.lines) if len(t.split()) > 2]
    if not templates:
        raise DataError(f"no line below {base} has three tokens or more")
    found = separation(champion.detector, templates, float(champion.facts["threshold"]))
    return ChampionReport(
        detector=detector, model_version=champion.version, figures=found.as_metrics()
    )
