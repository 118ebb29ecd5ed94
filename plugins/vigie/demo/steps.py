"""The steps of the demo in their order; each asserts its result.

The values that a step compares come from different places: APIs, stores and files.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.collection.index_specs import MESSAGE, PERFS
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.demo.stage import RELOAD_TIMEOUT_S, RUN_TIMEOUT_S
from vigie.local.processes import wait_until
from vigie.reports.kinds import KINDS

if TYPE_CHECKING:
    from vigie.demo.stage import Stage

SCORING = "kafka_anomaly_scoring"  # unpaused when there are lines to score
TRAINING = "anomaly_model_training"
COLLECTION = "logs_to_elasticsearch"
REPORTS = "evidently_reporting_pipeline"
RETRAINING = "ml_retrain_pipeline"
SCHEDULED = (RETRAINING, TRAINING, COLLECTION, REPORTS)
SHIFT = 0.3  # the drift of the second half of the traffic, as a share of a feature's range


def load_dags(stage: Stage) -> None:
    """Check that Airflow parsed every DAG file, and unpause the scheduled DAGs."""
    files = {path.stem for path in (stage.services.paths.root / "airflow/dags").glob("*.py")}
    wait_until(lambda: set(stage.airflow.dag_ids()) >= files, 60)
    stage.checks.equal("DAGs in the UI", sorted(stage.airflow.dag_ids()), sorted(files))
    stage.checks.equal("import errors", stage.airflow.import_errors(), [])
    stage.checks.equal("DAG warnings", stage.airflow.import_warnings(), [])
    for dag_id in SCHEDULED:
        stage.airflow.unpause(dag_id)


def first_runs(stage: Stage) -> None:
    """Wait for the first scheduled runs, which train and deploy models."""
    stage.is_first = not stage.champion()
    for dag_id in SCHEDULED:
        stage.wait_until_idle(dag_id, started_within_s=30)
    if not stage.champion():
        stage.run_dag(RETRAINING, {"model": stage.model.name, "force": True})
    if not stage.champion(LSTM_AUTOENCODER):
        stage.run_dag(TRAINING)
    for model in (stage.model.name, LSTM_AUTOENCODER):
        version = stage.champion(model)
        alias = stage.services.tracker.alias(model, "champion")
        stage.checks.holds(f"a champion of {model}", version > 0, f"version {version}")
        stage.checks.equal(f"MLflow's alias `champion` of {model}", alias, version)
        stage.notes[f"first champion of {model}"] = f"version {version}"
    version = stage.champion()
    wait_until(lambda: stage.served_version() == version, RELOAD_TIMEOUT_S)
    stage.checks.equal("version that serving loaded", stage.served_version(), version)


def traffic(stage: Stage) -> None:
    """Request predictions for real rows; half of the rows have drifted features."""
    predictions = stage.services.predictions.count(stage.model.name)
    labels = stage.services.labels.count(stage.model.name)
    half = stage.rows // 2
    parts = [stage.send(half, seed=1), stage.send(half, seed=2, shifts=_shifts(stage))]
    versions = sum((Counter(part.versions) for part in parts), Counter())
    answered = sum(part.answered for part in parts)
    stored = stage.services.predictions.count(stage.model.name) - predictions
    labelled = stage.services.labels.count(stage.model.name) - labels
    stage.checks.equal("rows with a prediction", answered, 2 * half)
    stage.checks.equal("predictions stored", stored, answered)
    stage.checks.equal("labels stored", labelled, answered)
    stage.checks.equal(
        "version in every response", dict(versions), {str(stage.champion()): answered}
    )
    stage.notes["predictions sent"] = f"{answered}, {half} of them shifted"


def _shifts(stage: Stage) -> dict[str, float]:
    """Return a shift for every second numeric feature."""
    numbers = [feature for feature in stage.model.features if feature.is_number][::2]
    return {
        feature.name: SHIFT * (feature.max - feature.min)
        for feature in numbers
        if feature.min is not None and feature.max is not None
    }


def collect(stage: Stage) -> None:
    """Collect the API log; every prediction becomes one document in each index."""
    stage.run_dag(COLLECTION)
    stored = stage.services.predictions.count()
    for index in (stage.settings.elasticsearch.index, MESSAGE.name, PERFS.name):
        stage.checks.equal(f"documents in {index}", stage.services.index.count(index), stored)
    stage.notes["API log lines collected"] = str(stored)


def score(stage: Stage) -> None:
    """Send the platform's own log files through the stream; every line is scored."""
    from vigie.anomaly.ingest.ingest_log_files import ingest_log_files

    services, names = stage.services, stage.settings.stream
    topic = names.topic
    report = ingest_log_files(services, topic=topic, base_dir=stage.logs)
    stage.airflow.unpause(SCORING)
    failed_before = set(_failed_runs(stage))

    def is_over() -> bool:
        lag = services.stream.lag(names.group, topic)
        return lag == 0 or bool(set(_failed_runs(stage)) - failed_before)

    wait_until(is_over, RUN_TIMEOUT_S)
    produced = sum(services.stream.end_offsets(topic).values())
    scored = services.index.count(names.index)
    dead = services.index.count(DEAD_LETTERS.name)
    failed = sorted(set(_failed_runs(stage)) - failed_before)
    stage.checks.equal(f"failed runs of {SCORING}", failed, [])
    stage.checks.equal("lines left in the stream", services.stream.lag(names.group, topic), 0)
    stage.checks.equal("documents + dead letters = lines produced", scored + dead, produced)
    stage.notes["log lines produced"] = f"{produced}, {report.lines} of them by this demo"


def _failed_runs(stage: Stage) -> list[str]:
    return [run.run_id for run in stage.airflow.runs(SCORING) if run.state == "failed"]


def report(stage: Stage) -> None:
    """Write a report of every kind, and detect the drift."""
    stage.reported_on = stage.champion()  # the retraining may finish before this run
    folder = stage.services.paths.reports
    before = set(folder.glob("*.html"))
    stage.run_dag(REPORTS, {"model": stage.model.name, "hours": 24})
    new = {path.name for path in set(folder.glob("*.html")) - before}
    for kind in KINDS:
        found = [name for name in new if name.startswith(f"{kind}_report_{stage.model.name}")]
        stage.checks.holds(f"{kind} report written", len(found) == 1, ", ".join(found) or "none")
    decisions = stage.services.ledger.decisions(stage.model.name, "drift", limit=1)
    verdict = decisions[0].verdict if decisions else "no decision"
    stage.checks.equal("drift decided in the ledger", verdict, "yes")
    stage.notes["reports"] = ", ".join(sorted(new))


def retrain(stage: Stage) -> None:
    """Wait for the retraining that the drift triggers; check its decision."""
    asset_run = wait_until(
        lambda: any(run.run_type == "asset_triggered" for run in stage.airflow.runs(RETRAINING)), 30
    )
    stage.checks.holds("the drift asset started ml_retrain_pipeline", asset_run, asset_run)
    stage.wait_until_idle(RETRAINING)
    for run in stage.airflow.runs(RETRAINING)[:1]:
        stage.finish(run)
    gate = stage.services.ledger.decisions(stage.model.name, "gate", limit=1)[0]
    after = stage.champion()
    if stage.is_first:
        stage.checks.equal("the gate's verdict", gate.verdict, "yes")
    promoted = gate.verdict == "yes"
    stage.checks.equal("a new champion, as the gate decided", after > stage.reported_on, promoted)
    stage.notes["gate"] = "; ".join(gate.reasons)


def serve(stage: Stage) -> None:
    """Request a prediction from the new champion, without a restart of serving."""
    version = stage.champion()
    wait_until(lambda: stage.served_version() == version, RELOAD_TIMEOUT_S)
    report = stage.send(1, seed=3)
    stage.checks.equal("version in the next response", dict(report.versions), {str(version): 1})
    alias = stage.services.tracker.alias(stage.model.name, "champion")
    stage.checks.equal("MLflow's alias `champion`", alias, version)
    stage.notes["champion"] = f"version {version}"


def again(stage: Stage) -> None:
    """Collect again; no count changes, and every job has pushed its metrics."""
    stage.run_dag(COLLECTION)
    names = (stage.settings.elasticsearch.index, MESSAGE.name)
    first = {name: stage.services.index.count(name) for name in names}
    stage.run_dag(COLLECTION)
    second = {name: stage.services.index.count(name) for name in first}
    stage.checks.equal("a second collection changes nothing", second, first)
    stored = stage.services.predictions.count()
    stage.checks.equal("one document per prediction", second[MESSAGE.name], stored)
    dags = (COLLECTION, TRAINING, SCORING, REPORTS, RETRAINING)
    # The last task of the scoring run may still be running.
    wait_until(lambda: stage.jobs_with_metrics() >= set(dags), 30)
    for dag_id in dags:
        has = dag_id in stage.jobs_with_metrics()
        stage.checks.holds(f"metrics of {dag_id} in /metrics", has, has)


STEPS = (
    ("DAGs", load_dags),
    ("First runs", first_runs),
    ("Traffic", traffic),
    ("Collection", collect),
    ("Log stream", score),
    ("Reports", report),
    ("Retraining", retrain),
    ("Serving", serve),
    ("Second run", again),
)
