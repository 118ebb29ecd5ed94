"""Sampling, training, evaluating and registering detectors."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from vigie.anomaly.detectors.isolation_forest import LogIsolationForest
from vigie.anomaly.detectors.registry import (
    DETECTORS,
    ISOLATION_FOREST,
    LSTM_AUTOENCODER,
    pack,
    unpack,
)
from vigie.anomaly.detectors.separation import separation
from vigie.anomaly.scoring.champion_detector import (
    champion_detector,
    explain_anomaly,
    measure_champion,
)
from vigie.anomaly.training.evaluate_detectors import EvaluationResult, evaluate_detectors
from vigie.anomaly.training.load_training_logs import TrainingLogsResult, load_training_logs
from vigie.anomaly.training.register_detectors import RegisterResult, register_detectors
from vigie.anomaly.training.train_detector import train_detector
from vigie.errors import ConflictError, DataError, NotEnoughDataError, TransientError
from vigie.registry.reconcile_champion import reconcile_champion
from vigie.registry.rollback_model import rollback_model
from vigie.testing import FakeServices
from vigie.testing.detectors import NORMAL, deploy_detector

RUN = "run-1"
GZIP = gzip.compress(b"a line\n", mtime=0)


@pytest.fixture
def logs(services: FakeServices) -> Path:
    folder = services.paths.data / "kafka"
    folder.mkdir()
    lines = [
        NORMAL[n % len(NORMAL)].replace("<NUM>", str(n)).replace("<IP>", "10.0.0.1")
        for n in range(600)
    ]
    (folder / "a.log").write_text("\n".join(lines) + "\n")
    return folder


def load(services: FakeServices, **values: Any) -> TrainingLogsResult:
    return load_training_logs(services, run_id=RUN, **values)


def prepare(services: FakeServices, run_id: str = RUN) -> EvaluationResult:
    """Sample, train and evaluate only the forest, because its training is fast."""
    result = load_training_logs(services, run_id=run_id)
    dataset = Path(result.dataset)
    train_detector(services, detector=ISOLATION_FOREST, dataset=dataset, run_id=run_id)
    return evaluate_detectors(
        services, run_id=run_id, dataset=dataset, detectors=[ISOLATION_FOREST]
    )


def register(services: FakeServices, evaluation: EvaluationResult) -> RegisterResult:
    return register_detectors(services, evaluation=Path(evaluation.evaluation))


@pytest.mark.usefixtures("logs")
def test_a_sample_has_the_requested_size_and_keeps_the_order(services: FakeServices) -> None:
    result = load(services, max_lines=100)
    lines = gzip.decompress(Path(result.dataset).read_bytes()).split(b"\n")
    numbers = [int(line.split()[3]) for line in lines]
    assert (result.lines, result.lines_seen, len(lines)) == (100, 600, 100)
    assert numbers == sorted(numbers)
    assert numbers[50] > 200


@pytest.mark.usefixtures("logs")
def test_the_same_files_give_the_same_sample(services: FakeServices) -> None:
    first = Path(load(services, max_lines=100).dataset).read_bytes()
    assert Path(load(services, max_lines=100).dataset).read_bytes() == first


def test_too_few_lines_raise_not_enough_data(services: FakeServices) -> None:
    with pytest.raises(NotEnoughDataError) as caught:
        load(services)
    assert (caught.value.found, caught.value.needed) == (0, 50)


@pytest.mark.usefixtures("logs")
def test_training_tracks_the_loss_of_each_epoch(services: FakeServices) -> None:
    dataset = Path(load(services).dataset)
    result = train_detector(
        services, detector=LSTM_AUTOENCODER, dataset=dataset, run_id=RUN, epochs=5
    )
    (run,) = services.tracker.runs
    losses = [value for name, value, _ in run.metrics if name == "train_loss"]
    assert len(losses) == result.epochs == 5
    assert losses[-1] < losses[0]
    assert run.latest("final_loss") == losses[-1] == result.final_loss
    assert run.latest("mean_reconstruction_error") == result.mean_reconstruction_error
    assert run.latest("threshold") == result.threshold
    assert [name for name, _ in run.models] == [LSTM_AUTOENCODER]


@pytest.mark.usefixtures("logs")
def test_a_retry_continues_the_tracked_run(services: FakeServices) -> None:
    prepare(services)
    prepare(services)
    assert len(services.tracker.runs) == 1


@pytest.mark.usefixtures("logs")
def test_the_first_version_is_promoted_in_all_stores(services: FakeServices) -> None:
    result = register(services, prepare(services))
    assert result.promoted == {ISOLATION_FOREST: 1}
    assert champion_detector(services, ISOLATION_FOREST).version == 1
    assert services.tracker.alias(ISOLATION_FOREST, "champion") == 1
    (decision,) = services.ledger.decisions(model=ISOLATION_FOREST)
    assert (decision.kind, decision.verdict) == ("gate", "yes")
    assert 0 < decision.evidence["challenger"]["auc"] <= 1


@pytest.mark.usefixtures("logs")
def test_registering_twice_changes_nothing(services: FakeServices) -> None:
    evaluation = prepare(services)
    assert register(services, evaluation) == register(services, evaluation)
    assert services.bundles.versions(ISOLATION_FOREST) == [1]
    assert len(services.deployments.history(ISOLATION_FOREST)) == 1
    assert len(services.ledger.decisions()) == 1


@pytest.mark.usefixtures("logs")
def test_an_equally_good_detector_replaces_the_champion(services: FakeServices) -> None:
    register(services, prepare(services))
    assert register(services, prepare(services, "run-2")).promoted == {ISOLATION_FOREST: 2}


@pytest.mark.usefixtures("logs")
def test_a_promotion_while_mlflow_is_down_is_recorded_and_reconciled_later(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise TransientError("MLflow did not answer")

    evaluation = prepare(services)
    with monkeypatch.context() as patched:
        patched.setattr(services.tracker, "register", down)
        assert register(services, evaluation).promoted == {ISOLATION_FOREST: 1}
    (decision,) = services.ledger.decisions(model=ISOLATION_FOREST)
    assert "MLflow did not answer" in decision.reasons[1]
    reconcile_champion(services, model=ISOLATION_FOREST)
    assert services.tracker.alias(ISOLATION_FOREST, "champion") == 1


@pytest.mark.usefixtures("logs")
def test_a_rollback_of_a_detector_moves_the_alias(services: FakeServices) -> None:
    register(services, prepare(services))
    register(services, prepare(services, "run-2"))
    rollback_model(services, model=ISOLATION_FOREST, actor="ana")
    assert champion_detector(services, ISOLATION_FOREST).version == 1
    assert services.tracker.alias(ISOLATION_FOREST, "champion") == 1


@pytest.mark.usefixtures("logs")
def test_a_detector_that_separates_worse_is_not_promoted(services: FakeServices) -> None:
    evaluation = prepare(services)
    register(services, evaluation)
    path = Path(prepare(services, "run-2").evaluation)
    results = orjson.loads(path.read_bytes())
    results["detectors"][ISOLATION_FOREST]["challenger"]["auc"] -= 0.2
    path.write_bytes(orjson.dumps(results))
    result = register_detectors(services, evaluation=path)
    assert result.promoted == {}
    assert "separates worse" in result.refused[ISOLATION_FOREST]
    assert champion_detector(services, ISOLATION_FOREST).version == 1
    assert services.ledger.decisions(run_id="run-2")[0].verdict == "no"


@pytest.mark.usefixtures("logs")
def test_a_champion_that_cannot_be_opened_is_replaced(services: FakeServices) -> None:
    register(services, prepare(services))
    broken = services.paths.artifacts / ISOLATION_FOREST / "v1" / "model.skops"
    broken.chmod(0o644)
    broken.write_bytes(b"broken")
    result = register(services, prepare(services, "run-2"))
    assert result.promoted == {ISOLATION_FOREST: 2}
    assert "cannot be opened" in services.ledger.decisions(run_id="run-2")[0].reasons[0]


@pytest.mark.usefixtures("logs")
def test_a_champion_deployed_since_the_evaluation_is_not_replaced(services: FakeServices) -> None:
    evaluation = prepare(services)
    deploy_detector(services, ISOLATION_FOREST)
    with pytest.raises(ConflictError):
        register(services, evaluation)


@pytest.mark.usefixtures("logs")
def test_evaluation_covers_every_detector(services: FakeServices) -> None:
    dataset = Path(load(services).dataset)
    for name in DETECTORS:
        train_detector(services, detector=name, dataset=dataset, run_id=RUN, epochs=40)
    result = evaluate_detectors(services, run_id=RUN, dataset=dataset)
    assert set(result.auc) == set(DETECTORS)
    assert result.best in DETECTORS
    assert min(result.auc.values()) > 0.8
    assert max(result.false_alarm_rate.values()) <= 0.1


@pytest.mark.parametrize(
    "content",
    [b"no", GZIP[:12], GZIP[:10] + b"\xff" * 9],
    ids=["not gzip", "cut off", "not compressed data"],
)
def test_an_invalid_sample_is_rejected(
    services: FakeServices, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read the sample"):
        train_detector(services, detector=ISOLATION_FOREST, dataset=path, run_id=RUN)


def test_separation_needs_a_line_of_three_tokens() -> None:
    detector = LogIsolationForest(trees=2).fit(NORMAL)
    with pytest.raises(DataError, match="three tokens"):
        separation(detector, ["two tokens", "one"], 0.5)


def test_a_bundle_without_golden_scores_is_rejected() -> None:
    files = pack(LogIsolationForest(trees=2).fit(NORMAL), NORMAL, {})
    with pytest.raises(DataError, match="cannot load the detector"):
        unpack({**files, "golden.json": orjson.dumps({"lines": NORMAL[:1]})})


def test_an_explanation_lists_the_anomalous_tokens(services: FakeServices) -> None:
    deploy_detector(services)
    result = explain_anomaly(
        services,
        lines=[b"gateway exploded request 3 from 10.0.0.1 in 4 ms", NORMAL[0].encode(), b" "],
    )
    strange, normal, blank = result.explanations
    assert strange.template == "gateway exploded request <NUM> from <IP> in <NUM> ms"
    assert strange.tokens[0].token == "exploded"
    assert (strange.is_above_threshold, normal.is_above_threshold) == (True, False)
    assert (blank.score, blank.is_above_threshold) == (None, None)


@pytest.mark.usefixtures("logs")
def test_measuring_the_champion_changes_nothing(services: FakeServices) -> None:
    deploy_detector(services, ISOLATION_FOREST)
    measured = measure_champion(services, detector=ISOLATION_FOREST).measured
    assert measured["auc"] > 0.8
    assert services.ledger.decisions() == []
