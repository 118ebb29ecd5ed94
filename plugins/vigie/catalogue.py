"""Catalogue of all metrics, used by jobs, dashboards, alert rules and tests.

A series of a job has the labels of its metric and of its push group: ``job`` (the DAG) and often
``model``. Names start with ``vigie_``, except the names of the three oldest drift metrics. If a
metric has a unit, its name ends with the unit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family: its name, type (gauge, counter or histogram), help text and label names."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {}


def _add(kind: str, name: str, help: str, labels: tuple[str, ...]) -> str:
    if name in METRICS:
        raise ValueError(f"metric {name} is already in the catalogue")
    METRICS[name] = Metric(name, kind, help, labels)
    return name


def gauge(name: str, help: str, *labels: str) -> str:
    """Add a gauge with the given label names to the catalogue and return its name."""
    return _add("gauge", name, help, labels)


def counter(name: str, help: str, *labels: str) -> str:
    """Add a counter with the given label names to the catalogue and return its name."""
    return _add("counter", name, help, labels)


def histogram(name: str, help: str, *labels: str) -> str:
    """Add a histogram with the given label names to the catalogue and return its name."""
    return _add("histogram", name, help, labels)


# every job
JOB_LAST_SUCCESS = gauge(
    "vigie_job_last_success_timestamp_seconds",
    "Time of the last successful run of the job (Unix time)",
)
JOB_LAST_RUN = gauge(
    "vigie_job_last_run_timestamp_seconds",
    "Time at which the last run of the job ended (Unix time)",
)
JOB_SUCCEEDED = gauge("vigie_job_succeeded", "1 if the last run succeeded, else 0")
JOB_TASKS_FAILED = gauge("vigie_job_failed_tasks", "Number of failed tasks of the last run")
PUSH_FAILURES = counter("vigie_push_failures_total", "Metric groups that could not be pushed")

# serving; /metrics exposes these metrics together with the text files of the jobs
HTTP_REQUESTS = counter("vigie_http_requests_total", "HTTP requests handled", "route", "status")
HTTP_DURATION = histogram(
    "vigie_http_request_duration_seconds", "Time to handle an HTTP request", "route"
)
PREDICTIONS = counter(
    "vigie_predictions_total", "Predictions that were returned and stored", "model", "label"
)
FEEDBACK = counter("vigie_feedback_total", "Labels received as feedback", "model", "outcome")
MODEL_LOAD_FAILURES = counter(
    "vigie_model_load_failures_total",
    "Model versions that failed verification when loaded",
    "model",
)
MODEL_SERVED_VERSION = gauge(
    "vigie_model_served_version", "Model version that serving uses", "model"
)
SERVING_DATABASE_UP = gauge(
    "vigie_serving_database_up", "1 if the last query of the database succeeded, else 0"
)

# logs_to_elasticsearch
LOGS_READ = gauge("vigie_logs_read_lines", "API log lines read by the last run")
LOGS_LAG = gauge("vigie_logs_lag_lines", "API log lines that have not been collected yet")
LOGS_LOST = gauge(
    "vigie_logs_lost_lines", "API log lines that the source deleted before they were collected"
)
LOGS_INDEXED = gauge(
    "vigie_logs_indexed_lines", "Lines that the last run added to the index", "index"
)
LOGS_ALREADY_THERE = gauge(
    "vigie_logs_already_there_lines",
    "Lines of the last run that were already in the index",
    "index",
)
LOGS_FILTERED = gauge(
    "vigie_logs_filtered_lines", "Lines of the last run that were filtered out", "index"
)
LOGS_DEAD_LETTERED = gauge(
    "vigie_logs_dead_lettered_lines", "Lines of the last run that became dead letters", "index"
)
DEAD_LETTERS = gauge("vigie_dead_letters_documents", "Number of dead letters")
ES_BACKOFF = gauge(
    "vigie_es_backoff_seconds",
    "Time that the last run waited because Elasticsearch was overloaded (429 or 503)",
    "worker",
)
EXPORTED_ROWS = gauge("vigie_exported_rows", "Rows of the exported inference dataset", "model")
EXPORT_UNUSABLE = gauge(
    "vigie_export_unusable_documents",
    "Documents that were not exported because their values do not match the model file",
    "model",
)

# ml_retrain_pipeline
RETRAIN_TRIGGER_FIRED = gauge(
    "vigie_retrain_trigger_fired",
    "1 if the trigger fired in the last check of the triggers, else 0",
    "model",
    "trigger",
)
RETRAIN_ASKED = gauge(
    "vigie_retrain_asked", "1 if the last check of the triggers started a training, else 0", "model"
)
RETRAIN_LABELLED_ROWS = gauge(
    "vigie_retrain_labelled_rows", "Labelled rows that no training has used yet", "model"
)
RETRAIN_TRAINING_ROWS = gauge(
    "vigie_retrain_training_rows", "Rows of the last training table by origin", "model", "origin"
)
RETRAIN_CANDIDATE_SCORE = gauge(
    "vigie_retrain_candidate_score",
    "Value of a metric for a candidate on the hold-out",
    "model",
    "candidate",
    "figure",
)
RETRAIN_CANDIDATE_SECONDS = gauge(
    "vigie_retrain_candidate_seconds", "Training time of a candidate", "model", "candidate"
)
RETRAIN_GATE_PASSED = gauge(
    "vigie_retrain_gate_passed", "1 if the last challenger passed the gate, else 0", "model"
)
CHAMPION_VERSION = gauge("vigie_champion_version", "Version of the champion", "model")

# evidently_reporting_pipeline; a metric whose value is unknown has no series
DRIFT_SCORE = gauge("drift_score", "Share of drifted columns, 0 to 1", "model")
N_DRIFTED_FEATURES = gauge("n_drifted_features", "Number of drifted columns", "model")
MAX_FEATURE_DRIFT = gauge(
    "max_feature_drift", "Largest drift effect of any column; 0.1 or more is large", "model"
)
DRIFT_DETECTED = gauge("vigie_drift_detected", "1 if the data drifted, else 0", "model")
MODEL_PERFORMANCE = gauge(
    "vigie_model_performance_ratio",
    "Value of a metric for the champion on the labelled predictions of the window",
    "model",
    "metric",
)
PERFORMANCE_METRICS = ("average_precision", "roc_auc", "f1", "precision", "recall", "accuracy")
PERFORMANCE_DEGRADED = gauge(
    "vigie_performance_degraded", "1 if the performance is below its floor, else 0", "model"
)
LABELLED_ANSWERS = gauge(
    "vigie_labelled_answers_rows", "Labelled predictions of the champion in the window", "model"
)
REPORT_ROWS = gauge("vigie_report_rows", "Current rows in the newest report", "model", "report")
REPORTS_KEPT = gauge("vigie_reports_kept_files", "Number of reports in the reports folder")

# kafka_anomaly_scoring
WORKER = ("topic", "worker")
STREAM_LAG = gauge("vigie_stream_lag_lines", "Lines that have not been scored yet", "topic")
STREAM_READ = gauge("vigie_stream_read_lines", "Lines read by the last run", *WORKER)
STREAM_INDEXED = gauge(
    "vigie_stream_indexed_lines", "Scored lines that the last run added to the index", *WORKER
)
STREAM_ALREADY_THERE = gauge(
    "vigie_stream_already_there_lines",
    "Lines of the last run that were already in the index",
    *WORKER,
)
STREAM_DEAD_LETTERED = gauge(
    "vigie_stream_dead_lettered_lines", "Lines of the last run that became dead letters", *WORKER
)
STREAM_ANOMALIES = gauge(
    "vigie_stream_anomalous_lines",
    "Lines of the last run with a score above the threshold",
    *WORKER,
)
STREAM_UNSCORED = gauge(
    "vigie_stream_unscored_lines", "Lines of the last run without a score", *WORKER
)
STREAM_LOST = gauge(
    "vigie_stream_lost_lines",
    "Records deleted by retention before they were read, skipped by the last run",
    *WORKER,
)
STREAM_RATE = gauge(
    "vigie_stream_scored_lines_per_second",
    "Lines per second of the last run, from poll to commit",
    *WORKER,
)
STREAM_THRESHOLD = gauge(
    "vigie_stream_anomaly_threshold_score",
    "Anomaly threshold for the next line of the partition",
    "topic",
    "partition",
)
STREAM_POLL_GAP = gauge(
    "vigie_stream_poll_gap_seconds", "Longest time that a follower took for a batch", "topic"
)
STREAM_REJOINS = gauge(
    "vigie_stream_rejoins", "Leases of a follower that ended in an error", "topic"
)
INCIDENTS_WRITTEN = gauge(
    "vigie_incidents_documents", "Incidents that the last run created or updated"
)

# anomaly_model_training
TRAINING_LOG_LINES = gauge(
    "vigie_training_log_lines", "Log lines in the sample of the last detector training"
)
DETECTOR_FINAL_LOSS = gauge(
    "vigie_detector_final_loss_nats", "Training loss of the detector in its last epoch", "model"
)
DETECTOR_SEPARATION = gauge(
    "vigie_detector_separation_ratio",
    "Area under the ROC curve for held-out normal lines and synthetic corruptions",
    "model",
)
DETECTOR_FALSE_ALARMS = gauge(
    "vigie_detector_false_alarm_ratio",
    "Share of held-out normal lines above the detector's threshold",
    "model",
)
DETECTOR_PROMOTED = gauge(
    "vigie_detector_promoted", "1 if the last trained version was promoted, else 0", "model"
)
