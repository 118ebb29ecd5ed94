"""Every metric name, once: jobs, dashboards, rules and tests import from here.

Every series carries its group's labels besides its own: ``job`` (the DAG) and often ``model``.

The names that the source documents print stay as they are; ours are ``vigie_…`` with a unit.
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


def metric(name: str, kind: str, help: str, labels: tuple[str, ...] = ()) -> str:
    """Add a family to the catalogue and return its name."""
    if name in METRICS:
        raise ValueError(f"metric {name} is in the catalogue twice")
    METRICS[name] = Metric(name, kind, help, labels)
    return name


# every job
JOB_LAST_SUCCESS = metric(
    "vigie_job_last_success_timestamp_seconds",
    "gauge",
    "When the job last succeeded (Unix time)",
)
JOB_LAST_RUN = metric("vigie_job_last_run_timestamp_seconds", "gauge", "When the job last ended")
JOB_SUCCEEDED = metric("vigie_job_succeeded", "gauge", "1 if the last run succeeded, 0 if not")
JOB_TASKS_FAILED = metric("vigie_job_failed_tasks", "gauge", "Failed tasks of the last run")
PUSH_FAILURES = metric(
    "vigie_push_failures_total", "counter", "Groups of figures that could not be pushed"
)

# serving (its own registry, exposed by /metrics together with the text files)
HTTP_REQUESTS = metric(
    "vigie_http_requests_total", "counter", "HTTP requests answered", ("route", "status")
)
HTTP_DURATION = metric(
    "vigie_http_request_duration_seconds", "histogram", "Time to answer a request", ("route",)
)
PREDICTIONS = metric(
    "vigie_predictions_total", "counter", "Predictions answered and stored", ("model", "label")
)
FEEDBACK = metric("vigie_feedback_total", "counter", "Labels reported", ("model", "outcome"))
MODEL_LOAD_FAILURES = metric(
    "vigie_model_load_failures_total", "counter", "Versions that did not check out", ("model",)
)
MODEL_SERVED_VERSION = metric(
    "vigie_model_served_version", "gauge", "The version that answers", ("model",)
)
SERVING_DATABASE_UP = metric(
    "vigie_serving_database_up", "gauge", "1 if the last look at the database succeeded"
)

# logs_to_elasticsearch
LOGS_READ = metric("vigie_logs_read_lines", "gauge", "API log lines read by the last run")
LOGS_LAG = metric("vigie_logs_lag_lines", "gauge", "API log lines that are not collected yet")
LOGS_LOST = metric(
    "vigie_logs_lost_lines", "gauge", "Lines that the source dropped before they were collected"
)
LOGS_INDEXED = metric(
    "vigie_logs_indexed_lines", "gauge", "Lines of the last run that were new", ("index",)
)
LOGS_ALREADY_THERE = metric(
    "vigie_logs_already_there_lines",
    "gauge",
    "Lines of the last run that had been indexed before",
    ("index",),
)
LOGS_FILTERED = metric(
    "vigie_logs_filtered_lines",
    "gauge",
    "Lines of the last run not meant for the index",
    ("index",),
)
LOGS_DEAD_LETTERED = metric(
    "vigie_logs_dead_lettered_lines",
    "gauge",
    "Lines of the last run that could not be read or stored",
    ("index",),
)
DEAD_LETTERS = metric("vigie_dead_letters_documents", "gauge", "Documents among the dead letters")
ES_BACKOFF = metric(
    "vigie_es_backoff_seconds",
    "gauge",
    "Time that the last run of collecting or scoring waited for a busy Elasticsearch (429, 503)",
    ("worker",),
)
EXPORTED_ROWS = metric(
    "vigie_exported_rows", "gauge", "Rows of the exported inference data set", ("model",)
)
EXPORT_UNUSABLE = metric(
    "vigie_export_unusable_documents",
    "gauge",
    "Documents whose values do not fit the model file",
    ("model",),
)

# ml_retrain_pipeline
RETRAIN_TRIGGER_FIRED = metric(
    "vigie_retrain_trigger_fired",
    "gauge",
    "1 if the trigger asked for a training in the last check",
    ("model", "trigger"),
)
RETRAIN_ASKED = metric(
    "vigie_retrain_asked", "gauge", "1 if the last check led to a training", ("model",)
)
RETRAIN_LABELLED_ROWS = metric(
    "vigie_retrain_labelled_rows", "gauge", "Labelled rows that no training has used", ("model",)
)
RETRAIN_TRAINING_ROWS = metric(
    "vigie_retrain_training_rows", "gauge", "Rows of the last training table", ("model", "origin")
)
RETRAIN_CANDIDATE_SCORE = metric(
    "vigie_retrain_candidate_score",
    "gauge",
    "A candidate's figure on the hold-out",
    ("model", "candidate", "figure"),
)
RETRAIN_CANDIDATE_SECONDS = metric(
    "vigie_retrain_candidate_seconds",
    "gauge",
    "Time to train a candidate",
    ("model", "candidate"),
)
RETRAIN_GATE_PASSED = metric(
    "vigie_retrain_gate_passed", "gauge", "1 if the last challenger passed the gate", ("model",)
)
CHAMPION_VERSION = metric(
    "vigie_champion_version", "gauge", "The version that is champion", ("model",)
)

# evidently_reporting_pipeline; an unknown figure is absent
DRIFT_SCORE = metric("drift_score", "gauge", "Share of drifted columns, 0 to 1", ("model",))
N_DRIFTED_FEATURES = metric("n_drifted_features", "gauge", "Number of drifted columns", ("model",))
MAX_FEATURE_DRIFT = metric(
    "max_feature_drift", "gauge", "Largest effect of a column; 0.1 counts as drift", ("model",)
)
DRIFT_DETECTED = metric("vigie_drift_detected", "gauge", "1 if the data drifted", ("model",))
MODEL_PERFORMANCE = metric(
    "vigie_model_performance_ratio",
    "gauge",
    "Figures of the champion's labelled answers in the last window",
    ("model", "metric"),
)
PERFORMANCE_METRICS = ("average_precision", "roc_auc", "f1", "precision", "recall", "accuracy")
PERFORMANCE_DEGRADED = metric(
    "vigie_performance_degraded", "gauge", "1 if the performance is below its floor", ("model",)
)
LABELLED_ANSWERS = metric(
    "vigie_labelled_answers_rows", "gauge", "Champion's answers with a real label", ("model",)
)
REPORT_ROWS = metric(
    "vigie_report_rows", "gauge", "Current rows behind the newest report", ("model", "report")
)
REPORTS_KEPT = metric("vigie_reports_kept_files", "gauge", "Reports in the reports folder")

# kafka_anomaly_scoring
STREAM_LAG = metric("vigie_stream_lag_lines", "gauge", "Lines not scored yet", ("topic",))
STREAM_READ = metric(
    "vigie_stream_read_lines", "gauge", "Lines read by the last run", ("topic", "worker")
)
STREAM_INDEXED = metric(
    "vigie_stream_indexed_lines",
    "gauge",
    "Scored lines of the last run that were new",
    ("topic", "worker"),
)
STREAM_ALREADY_THERE = metric(
    "vigie_stream_already_there_lines",
    "gauge",
    "Lines of the last run that had been indexed before",
    ("topic", "worker"),
)
STREAM_DEAD_LETTERED = metric(
    "vigie_stream_dead_lettered_lines",
    "gauge",
    "Lines of the last run that could not be read or stored",
    ("topic", "worker"),
)
STREAM_ANOMALIES = metric(
    "vigie_stream_anomalous_lines",
    "gauge",
    "Lines of the last run above the threshold",
    ("topic", "worker"),
)
STREAM_UNSCORED = metric(
    "vigie_stream_unscored_lines",
    "gauge",
    "Lines of the last run that have no score",
    ("topic", "worker"),
)
STREAM_LOST = metric(
    "vigie_stream_lost_lines",
    "gauge",
    "Lines that retention dropped before they were read, behind which the last run was let go on",
    ("topic", "worker"),
)
STREAM_RATE = metric(
    "vigie_stream_scored_lines_per_second",
    "gauge",
    "Lines a second of the last run, from poll to commit",
    ("topic", "worker"),
)
STREAM_THRESHOLD = metric(
    "vigie_stream_anomaly_threshold_score",
    "gauge",
    "The threshold that the next line meets",
    ("topic", "partition"),
)
STREAM_POLL_GAP = metric(
    "vigie_stream_poll_gap_seconds",
    "gauge",
    "Longest time between two polls of a follower; its group gives it up after 90 s",
    ("topic",),
)
STREAM_REJOINS = metric(
    "vigie_stream_rejoins", "gauge", "How often a follower had to join its group again", ("topic",)
)
INCIDENTS_WRITTEN = metric(
    "vigie_incidents_documents", "gauge", "Incidents that the last run wrote or renewed"
)

# anomaly_model_training
TRAINING_LOG_LINES = metric(
    "vigie_training_log_lines", "gauge", "Log lines sampled for the last training of detectors"
)
DETECTOR_FINAL_LOSS = metric(
    "vigie_detector_final_loss_nats", "gauge", "Training loss of the last epoch", ("model",)
)
DETECTOR_SEPARATION = metric(
    "vigie_detector_separation_ratio",
    "gauge",
    "Area under the curve, held-out normal lines against synthetic corruptions",
    ("model",),
)
DETECTOR_FALSE_ALARMS = metric(
    "vigie_detector_false_alarm_ratio",
    "gauge",
    "Held-out normal lines above the detector's threshold",
    ("model",),
)
DETECTOR_PROMOTED = metric(
    "vigie_detector_promoted", "gauge", "1 if the last training was promoted", ("model",)
)
