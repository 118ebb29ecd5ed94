"""Open the deployed detector, explain its scores, and measure it on log lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER, TokenLoss
from vigie.anomaly.ingest.log_files import PATTERNS, log_folder
from vigie.anomaly.scoring.normalise import Normaliser
from vigie.errors import NotEnoughDataError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.anomaly.detectors.registry import Detector
    from vigie.records import Deployment
    from vigie.roles import Services


@dataclass(frozen=True, slots=True)
class ChampionDetector:
    """A deployed detector with the manifest of its training."""

    detector: Detector
    deployment: Deployment
    manifest: dict[str, Any]

    @property
    def version(self) -> int:
        return self.deployment.version


def champion_detector(services: Services, name: str) -> ChampionDetector:
    """Open the champion, which is the deployed version of the detector ``name``.

    Raises
    ------
    NotEnoughDataError
        No version is deployed.
    DataError
        The bundle is damaged, or the scores of its golden lines differ from those at training.
    """
    from vigie.anomaly.detectors.registry import read_manifest, unpack

    deployment = services.deployments.champion(name)
    if deployment is None:
        raise NotEnoughDataError(
            f"no version of {name} is deployed; train one with `vigie anomaly train` "
            "or the DAG anomaly_model_training"
        )
    files = services.bundles.open(name, deployment.version).files
    return ChampionDetector(unpack(files), deployment, read_manifest(files))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Template, score and tokens of a line.

    The tokens are sorted by loss, highest first. A blank line has no tokens, score or verdict.
    """

    line: str
    template: str
    score: float | None
    is_above_threshold: bool | None
    tokens: tuple[TokenLoss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationResult(JobResult):
    """Explanations of the scores of lines, and the threshold from the detector's training."""

    detector: str
    model_version: int
    threshold: float
    explanations: tuple[Explanation, ...]


def explain_anomaly(
    services: Services, *, lines: Sequence[bytes], detector: str = LSTM_AUTOENCODER
) -> ExplanationResult:
    """Score lines; return the tokens of each line, sorted by contribution to the score."""
    champion = champion_detector(services, detector)
    threshold = float(champion.manifest["threshold"])
    found: list[Explanation] = []
    for raw, template in zip(lines, Normaliser().templates(lines), strict=True):
        line = raw.decode("utf-8", "backslashreplace")
        if not template:
            found.append(Explanation(line, template, None, None, ()))
            continue
        score = float(champion.detector.score([template])[0])
        tokens = tuple(champion.detector.explain(template))
        found.append(Explanation(line, template, score, score > threshold, tokens))
    return ExplanationResult(
        detector=detector,
        model_version=champion.version,
        threshold=threshold,
        explanations=tuple(found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionResult(JobResult):
    """Metrics of a champion; ``measured`` has the fields of ``separation.Separation``."""

    detector: str
    model_version: int
    measured: Mapping[str, Any]


def measure_champion(
    services: Services, *, detector: str, base_dir: Path | None = None, max_lines: int = 5000
) -> ChampionResult:
    """Measure how well the champion separates sampled lines from corruptions of them.

    Only lines of at least three tokens are used. The detector may have been trained on them.
    """
    from vigie.anomaly.detectors.separation import separation
    from vigie.anomaly.training.load_training_logs import sample_lines

    champion = champion_detector(services, detector)
    base = base_dir or log_folder(services.paths.data, services.paths.local)
    sample = sample_lines(base, PATTERNS, max_lines)
    templates = [t for t in Normaliser().templates(sample.lines) if len(t.split()) > 2]
    found = separation(champion.detector, templates, float(champion.manifest["threshold"]))
    return ChampionResult(
        detector=detector, model_version=champion.version, measured=found.as_metrics()
    )
