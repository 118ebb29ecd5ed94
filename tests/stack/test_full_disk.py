"""A full disk of PostgreSQL loses no data, and work continues once there is free space."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.collection.ingest_logs import ingest_logs
from vigie.errors import DiskFullError
from vigie.records import Prediction
from vigie.settings import Settings
from vigie.testing.sources import FakeApiLogs
from vigie.wiring import LazyServices, open_services

N_CALLS = 60
# Raises PostgreSQL's error for a full disk (SQLSTATE 53100) from the 31st row on.
FULL = """
    CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM {table}) >= 30 THEN
            RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON {table} EXECUTE FUNCTION no_room();
"""
ROOM = "DROP TRIGGER no_room ON {table}; DROP FUNCTION no_room"


@pytest.fixture
def services(database_url: str) -> Iterator[LazyServices]:
    with open_services(Settings.from_env({"VIGIE_DATABASE_URL": database_url})) as opened:
        opened.api_logs = FakeApiLogs(opened.predictions)
        yield opened


@contextmanager
def full(services: LazyServices, table: str) -> Iterator[None]:
    with services.engine.begin() as connection:
        connection.execute(sa.text(FULL.format(table=table)))
    yield
    with services.engine.begin() as connection:
        connection.execute(sa.text(ROOM.format(table=table)))


def predictions(services: LazyServices, n: int) -> Iterator[Prediction]:
    at = services.now()
    first = Prediction("t0", "toy", 1, {"a": 0}, "NO", 0.5, "", at, latency_ms=1.0)
    for i in range(n):
        yield replace(first, transaction_id=f"t{i}", created_at=at + timedelta(milliseconds=i))


def test_collection_stops_on_a_full_disk_and_continues_there(
    services: LazyServices,
) -> None:
    for prediction in predictions(services, N_CALLS):
        services.predictions.add(prediction)
    with full(services, "documents"):
        for _ in range(2):
            with pytest.raises(DiskFullError, match="free disk space"):
                ingest_logs(services, limit=1000, batch_size=7)
    counts = ingest_logs(services, limit=1000, batch_size=7).counts
    for index in (RAW.name, MESSAGE.name, PERFS.name):
        assert services.index.count(index) == N_CALLS
        assert counts[index].indexed + counts[index].already_there == counts[index].read
    assert ingest_logs(services, limit=1000).read == 0


def test_a_prediction_is_refused_on_a_full_disk_and_the_log_has_no_gap(
    services: LazyServices,
) -> None:
    asked = list(predictions(services, 40))
    with full(services, "predictions"):
        for prediction in asked[:30]:
            services.predictions.add(prediction)
        for prediction in asked[30:]:
            with pytest.raises(DiskFullError):
                services.predictions.add(prediction)
    assert services.predictions.count() == 30
    assert services.predictions.add(asked[30]) == 30
