"""PostgreSQL: the stores, the embedded log index and the embedded stream."""

from vigie.adapters.postgres.deployments import SqlDeployments
from vigie.adapters.postgres.engine import open_engine
from vigie.adapters.postgres.labels import SqlLabels
from vigie.adapters.postgres.ledger import SqlLedger
from vigie.adapters.postgres.locks import SqlLocks
from vigie.adapters.postgres.predictions import SqlPredictions
from vigie.adapters.postgres.state import SqlState

__all__ = [
    "SqlDeployments",
    "SqlLabels",
    "SqlLedger",
    "SqlLocks",
    "SqlPredictions",
    "SqlState",
    "open_engine",
]
