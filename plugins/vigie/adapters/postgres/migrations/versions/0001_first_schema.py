"""Create the tables of the stores, the embedded log index and the embedded stream."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_ID = sa.Text(collation="C")
_INSTANT = sa.DateTime(timezone=True)


def _not_null(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    _claims()
    _used_rows()
    _decisions()
    _deployments()
    _log_index()
    _predictions()
    _labels()
    _state()
    _stream()
    _stream_positions()


def _claims() -> None:
    op.create_table(
        "claimed_rows",
        *_not_null(_ID, "model", "run_id", "transaction_id"),
        sa.Column("label_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", "run_id", "transaction_id"),
    )
    op.create_table(
        "claims",
        *_not_null(_ID, "model", "run_id"),
        sa.Column("archives_before", sa.BigInteger(), nullable=False),
        sa.Column("archive", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("model", "run_id"),
    )


def _used_rows() -> None:
    op.create_table(
        "used_rows",
        *_not_null(_ID, "transaction_id", "model"),
        sa.Column("archive", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transaction_id"),
    )
    op.create_index("used_rows_by_model", "used_rows", ["model", "archive"], unique=False)


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_not_null(_ID, "key", "model", "kind"),
        sa.Column("verdict", sa.Text(), nullable=False),
        *_not_null(JSONB(), "reasons", "facts"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("run_id", _ID, nullable=True),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("decisions_by_model", "decisions", ["model", "id"], unique=False)


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("model", _ID, nullable=False),
        *_not_null(sa.Integer(), "number", "version"),
        sa.Column("previous_version", sa.Integer(), nullable=True),
        sa.Column("deployed_at", _INSTANT, nullable=False),
        *_not_null(sa.Text(), "actor", "reason"),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("model", "number"),
    )


def _log_index() -> None:
    op.create_table(
        "documents",
        *_not_null(_ID, "index_name", "id"),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("body", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "id"),
    )
    op.create_index("documents_by_time", "documents", ["index_name", "at", "id"], unique=False)
    op.create_table(
        "log_indices",
        sa.Column("name", _ID, nullable=False),
        sa.Column("fields", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("log_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        *_not_null(_ID, "transaction_id", "model"),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("features", JSONB(), nullable=False),
        sa.Column("prediction", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("cpu_percent", sa.Float(), nullable=True),
        sa.Column("memory_mb", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("log_offset"),
        sa.UniqueConstraint("transaction_id"),
    )
    op.create_index(
        "predictions_by_time", "predictions", ["model", "created_at", "log_offset"], unique=False
    )


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("transaction_id", _ID, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("model", _ID, nullable=False),
        sa.Column("actual", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["transaction_id"], ["predictions.transaction_id"]),
        sa.PrimaryKeyConstraint("transaction_id", "seq"),
    )
    op.create_index("labels_by_model", "labels", ["model", "seq"], unique=False)


def _state() -> None:
    op.create_table(
        "counters",
        sa.Column("name", _ID, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "state",
        sa.Column("key", _ID, nullable=False),
        sa.Column("value", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.execute("INSERT INTO counters (name, next) VALUES ('predictions', 0)")


def _stream() -> None:
    op.create_table(
        "stream_batches",
        sa.Column("topic", _ID, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "base"),
    )
    op.create_table(
        "stream_partitions",
        sa.Column("topic", _ID, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        *_not_null(sa.BigInteger(), "first", "next"),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    # PostgreSQL does not compress the payload, because the writer compresses batches.
    op.execute("ALTER TABLE stream_batches ALTER COLUMN payload SET STORAGE EXTERNAL")


def _stream_positions() -> None:
    op.create_table(
        "stream_positions",
        *_not_null(_ID, "group_name", "topic"),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "topic", "partition"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
