"""The records role on PostgreSQL: SQLAlchemy Core 2, one module a store."""

from vigie.adapters.sql.deployments import SqlDeployments
from vigie.adapters.sql.engine import open_engine
from vigie.adapters.sql.labels import SqlLabels
from vigie.adapters.sql.ledger import SqlLedger
from vigie.adapters.sql.locks import SqlLocks
from vigie.adapters.sql.predictions import SqlPredictions
from vigie.adapters.sql.state import SqlState

__all__ = [
    "SqlDeployments",
    "SqlLabels",
    "SqlLedger",
    "SqlLocks",
    "SqlPredictions",
    "SqlState",
    "open_engine",
]
