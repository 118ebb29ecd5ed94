"""Tables of the database. Each change needs a migration; a test compares tables and migrations."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

#: The collation "C" compares code points, so the order does not depend on the locale.
_Id = Text(collation="C")
_Instant = DateTime(timezone=True)

counters = Table(
    "counters",  # next free number per counter
    metadata,
    Column("name", _Id, primary_key=True),
    Column("next", BigInteger, nullable=False),
)
predictions = Table(
    "predictions",
    metadata,
    Column("log_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("transaction_id", _Id, nullable=False, unique=True),
    Column("model", _Id, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("prediction", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("cpu_percent", Float),
    Column("memory_mb", Float),
    Index("predictions_by_time", "model", "created_at", "log_offset"),
)
labels = Table(
    "labels",  # all labels, including corrected ones; the highest seq is current
    metadata,
    Column("transaction_id", _Id, ForeignKey("predictions.transaction_id")),
    Column("seq", Integer, nullable=False),
    Column("model", _Id, nullable=False),  # copied from the prediction, to count labels
    Column("actual", Text, nullable=False),
    Column("at", _Instant, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("transaction_id", "seq"),
    Index("labels_by_model", "model", "seq"),
)
claims = Table(
    "claims",  # one row per model and training run that claimed labelled rows
    metadata,
    Column("model", _Id, nullable=False),
    Column("run_id", _Id, nullable=False),
    Column("archives_before", BigInteger, nullable=False),
    Column("archive", BigInteger),  # number of the archive; null until the rows are archived
    PrimaryKeyConstraint("model", "run_id"),
)
claimed_rows = Table(
    "claimed_rows",
    metadata,
    Column("model", _Id, nullable=False),
    Column("run_id", _Id, nullable=False),
    Column("transaction_id", _Id, nullable=False),
    Column("label_seq", Integer, nullable=False),  # the current label at the time of the claim
    PrimaryKeyConstraint("model", "run_id", "transaction_id"),
)
used_rows = Table(
    "used_rows",  # rows that a training run archived, with the number of the archive
    metadata,
    Column("transaction_id", _Id, primary_key=True),
    Column("model", _Id, nullable=False),
    Column("archive", BigInteger, nullable=False),
    Index("used_rows_by_model", "model", "archive"),
)
deployments = Table(
    "deployments",
    metadata,
    Column("model", _Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous_version", Integer),
    Column("deployed_at", _Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", Text),
    PrimaryKeyConstraint("model", "number"),
)
decisions = Table(
    "decisions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", _Id, nullable=False, unique=True),
    Column("model", _Id, nullable=False),
    Column("kind", _Id, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("run_id", _Id),
    Column("at", _Instant, nullable=False),
    Index("decisions_by_model", "model", "id"),
)
state = Table(
    "state",
    metadata,
    Column("key", _Id, primary_key=True),
    Column("value", JSONB, nullable=False),
)
log_indices = Table(
    "log_indices",
    metadata,
    Column("name", _Id, primary_key=True),
    Column("fields", JSONB, nullable=False),
)
documents = Table(
    "documents",
    metadata,
    Column("index_name", _Id, nullable=False),
    Column("id", _Id, nullable=False),
    Column("at", _Instant, nullable=False),  # the document's @timestamp
    Column("body", JSONB, nullable=False),
    PrimaryKeyConstraint("index_name", "id"),
    Index("documents_by_time", "index_name", "at", "id"),
)
stream_partitions = Table(
    "stream_partitions",
    metadata,
    Column("topic", _Id, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),  # oldest available offset
    Column("next", BigInteger, nullable=False),  # offset of the next record
    PrimaryKeyConstraint("topic", "partition"),
)
stream_batches = Table(
    "stream_batches",
    metadata,
    Column("topic", _Id, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("at", _Instant, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    PrimaryKeyConstraint("topic", "partition", "base"),
)
stream_positions = Table(
    "stream_positions",
    metadata,
    Column("group_name", _Id, nullable=False),
    Column("topic", _Id, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),  # fencing token: each new owner increments it
    PrimaryKeyConstraint("group_name", "topic", "partition"),
)
