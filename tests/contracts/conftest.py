"""Fixtures with the implementations of each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

IMPLEMENTATIONS = ("memory", "postgresql")


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(implementation: str, request: pytest.FixtureRequest) -> Iterator[object]:
    """Return an engine for a new database, or None for the fakes."""
    if implementation == "memory":
        yield None
        return
    from vigie.adapters.postgres import open_engine

    engine = open_engine(request.getfixturevalue("database_url"))
    yield engine
    engine.dispose()


@pytest.fixture
def records(engine: object, tmp_path: Path) -> object:
    from vigie.adapters import postgres as sql
    from vigie.testing import Clock, FakeServices
    from vigie.testing.contracts.record_stores import Records

    fakes = FakeServices(tmp_path)
    if engine is None:
        roles = ("predictions", "labels", "deployments", "ledger", "state", "locks", "clock")
        return Records(**{role: getattr(fakes, role) for role in roles})
    clock = Clock()
    return Records(
        sql.SqlPredictions(engine),
        sql.SqlLabels(engine, clock),
        sql.SqlDeployments(engine, clock),
        sql.SqlLedger(engine, clock),
        sql.SqlState(engine),
        sql.SqlLocks(engine),
        clock,
    )


@pytest.fixture
def log_index(engine: object) -> object:
    from vigie.adapters.postgres.index import PgIndex
    from vigie.testing.index import FakeIndex

    return FakeIndex() if engine is None else PgIndex(engine)


@pytest.fixture
def stream_subject(engine: object, log_index: object) -> object:
    from vigie.adapters.postgres.stream import PgStream
    from vigie.testing.contracts.stream import StreamSubject
    from vigie.testing.stream import FakeStream

    if engine is None:
        fake = FakeStream()
        return StreamSubject(fake, log_index, fake.expel, fake.trim)
    stream = PgStream(engine)

    def expel(group: str, topic: str) -> None:
        import sqlalchemy as sa

        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database "
                    "WHERE datname = current_database())"
                )
            )

    return StreamSubject(stream, log_index, expel, stream.trim)
