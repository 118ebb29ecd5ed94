"""Detectors on small samples of real logs; low minimum metrics reveal regressions only."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from vigie.anomaly.detectors.registry import DETECTORS, ISOLATION_FOREST, build_detector
from vigie.anomaly.ingest.ingest_log_files import ingest_log_files
from vigie.anomaly.scoring.normalise import Normaliser
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.anomaly.training.load_training_logs import load_training_logs
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector

FLOOR = {"log_lstm_autoencoder": (0.5, 0.9), "log_isolation_forest": (0.3, 0.85)}
MOZILLA_FILES = 3
MAX_FILE_LINES = 3000


@pytest.mark.parametrize("name", DETECTORS)
def test_bgl_alerts_score_higher_than_normal_lines(shared_data: Path, name: str) -> None:
    """Train on normal lines of a random half; the first column, the label, is removed."""
    raw = (shared_data / "loghub_2k" / "BGL_2k.log").read_bytes().splitlines()
    alert = [not line.startswith(b"- ") for line in raw]
    templates = Normaliser().templates(line.split(b" ", 1)[1] for line in raw)
    order = random.Random(0).sample(range(len(raw)), len(raw))
    train, test = order[: len(raw) // 2], order[len(raw) // 2 :]
    normal = Counter(templates[i] for i in train if not alert[i])
    detector = build_detector(name, epochs=40)
    detector.fit(list(normal), [float(count) for count in normal.values()])
    scores, truth = detector.score([templates[i] for i in test]), [alert[i] for i in test]
    precision, area = FLOOR[name]
    assert average_precision_score(truth, scores) > precision
    assert roc_auc_score(truth, scores) > area


def test_every_line_of_the_mozilla_logs_is_indexed_or_dead_lettered(
    services: FakeServices, shared_data: Path
) -> None:
    folder = services.paths.data / "kafka" / "log-mozilla"
    folder.mkdir(parents=True)
    expected = 0
    for path in sorted((shared_data / "mozilla_ci" / "logs").glob("*.txt.gz"))[:MOZILLA_FILES]:
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:MAX_FILE_LINES]
        (folder / path.stem).write_bytes(b"".join(line + b"\n" for line in lines))
        expected += sum(bool(line.strip()) for line in lines)
    result = load_training_logs(services, run_id="r", max_lines=500)
    assert result.lines == 500
    deploy_detector(services, ISOLATION_FOREST)
    ingested = ingest_log_files(services, topic="t", base_dir=folder.parent)
    scored = score_stream(services, topic="t", group="g", index="i", detector=ISOLATION_FOREST)
    assert ingested.lines == expected == scored.read
    assert scored.indexed + scored.dead_lettered == expected
    assert services.index.count("i") == scored.indexed
