"""Collectors that are killed or run concurrently, on real indices.

The predictions are in PostgreSQL; the log indices are in PostgreSQL or Elasticsearch.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.prefixed_index import PrefixedIndex
from vigie.adapters.elastic.index import EsIndex
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.collection.ingest_logs import IngestResult, ingest_logs
from vigie.collection.maintain_indices import deduplicate_indices
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import DataError
from vigie.faults import VARIABLE
from vigie.records import LogBatch, Prediction
from vigie.settings import Settings
from vigie.testing.sources import FakeApiLogs
from vigie.wiring import LazyServices, open_services

TESTS = Path(__file__).resolve().parents[2]  # for tests/support
N_CALLS = 60
SPECS = (RAW, MESSAGE, PERFS, DEAD_LETTERS)

# The source renders the prediction table as serving does; every tenth line is malformed.
CHILD = """
import os
import sys
sys.path.insert(0, sys.argv[2])
from vigie.collection.ingest_logs import ingest_logs
from vigie.records import LogBatch
from vigie.settings import Settings
from support.prefixed_index import PrefixedIndex
from vigie.testing.sources import FakeApiLogs
from vigie.wiring import open_services

class Damaged(FakeApiLogs):
    def read(self, offset, limit):
        batch = super().read(offset, limit)
        lines = tuple(line[:-9] if i % 10 == 0 else line
                      for i, line in enumerate(batch.lines, batch.offset))
        return LogBatch(batch.offset, lines, batch.next_offset)

with open_services(Settings.from_env()) as services:
    services.index = PrefixedIndex(services.index, os.environ["TEST_INDEX_PREFIX"])
    services.api_logs = Damaged(services.predictions)
    report = ingest_logs(services, limit=int(sys.argv[1]), batch_size=7)
    for index, counts in report.counts.items():
        counts.checked(index)
    print(report.read)
"""


@dataclass(frozen=True)
class Collecting:
    """The source and the indices of the collector processes."""

    services: LazyServices
    environment: dict[str, str]

    def child(self, limit: int = 1000, crash_at: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", CHILD, str(limit), str(TESTS)],
            cwd="/",
            env=os.environ | self.environment | {VARIABLE: crash_at},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def collect(self, limit: int = 1000, crash_at: str = "") -> int | None:
        """Collect in a child process; return None if it was killed."""
        process = self.child(limit, crash_at)
        output, errors = process.communicate(timeout=120)
        if process.returncode == -signal.SIGKILL:
            return None
        assert process.returncode == 0, errors[-2000:]
        return int(output)


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.service)])
def collecting(request: pytest.FixtureRequest, database_url: str) -> Iterator[Collecting]:
    variables = {"VIGIE_DATABASE_URL": database_url}
    prefix = f"t-{secrets.token_hex(4)}-"
    if request.param == "elasticsearch":
        where = urlsplit(request.getfixturevalue("elasticsearch_url"))
        variables |= {
            "ELASTICSEARCH_HOST": str(where.hostname),
            "ELASTICSEARCH_PORT": str(where.port),
        }
    with open_services(Settings.from_env(variables)) as opened:
        inner = opened.index
        opened.index = index = PrefixedIndex(inner, prefix)  # type: ignore[misc]
        at = opened.now()
        first = Prediction("t0", "toy", 1, {"a": 0}, "NO", 0.5, "", at, latency_ms=1.0)
        for n in range(N_CALLS):
            later = at + timedelta(milliseconds=n)
            opened.predictions.add(replace(first, transaction_id=f"t{n}", created_at=later))
        yield Collecting(opened, variables | {"TEST_INDEX_PREFIX": prefix})
        for spec in SPECS:
            index.drop(spec.name)
        if isinstance(inner, EsIndex):
            with suppress(DataError):  # missing if the test failed early
                inner.client.request("DELETE", f"/_index_template/vigie-{prefix}*")


def counts(services: LazyServices) -> tuple[int, ...]:
    return tuple(services.index.count(spec.name) for spec in SPECS)


EVERYTHING = (N_CALLS, N_CALLS * 9 // 10, N_CALLS * 9 // 10, N_CALLS // 10)


def test_crashes_at_every_point_lose_no_line_and_write_no_duplicate(
    collecting: Collecting,
) -> None:
    for crash_at in ("before_bulk", "after_bulk"):
        assert collecting.collect(crash_at=crash_at) is None
    assert collecting.collect(limit=10) == 10
    for crash_at in ("after_bulk", "before_bulk"):
        assert collecting.collect(crash_at=crash_at) is None
    assert collecting.collect() == N_CALLS - 10
    assert counts(collecting.services) == EVERYTHING
    assert deduplicate_indices(collecting.services).removed == 0
    assert collecting.collect() == 0


def test_documents_stored_before_a_crash_are_counted_as_already_there(
    collecting: Collecting,
) -> None:
    collecting.collect(crash_at="after_bulk")
    services = collecting.services
    services.api_logs = FakeApiLogs(services.predictions)  # type: ignore[misc]
    report: IngestResult = ingest_logs(services, limit=7, batch_size=7)
    assert report.counts[MESSAGE.name].already_there == 6


def test_two_concurrent_collectors_write_every_document_once(
    collecting: Collecting,
) -> None:
    both = [collecting.child() for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
    assert counts(collecting.services) == EVERYTHING
    assert deduplicate_indices(collecting.services).removed == 0
    assert collecting.collect() == 0


def test_lines_of_arbitrary_bytes_are_stored_and_returned(collecting: Collecting) -> None:
    services = collecting.services
    lines = ("\udcff\x00 caf\u00e9", "2026-01-01T00:00:00Z - a - INFO - NUL \x00 and \ud800", "")

    class Lines:
        def check(self) -> str:
            return "lines"

        def read(self, offset: int, limit: int) -> LogBatch:
            some = lines[offset : offset + limit]
            return LogBatch(offset, some, offset + len(some))

    services.api_logs = Lines()  # type: ignore[misc,assignment]
    assert ingest_logs(services, limit=10).read == 3
    assert services.index.count(RAW.name) == 3
    assert ingest_logs(services, limit=10).read == 0
