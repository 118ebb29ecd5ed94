"""Memory needed to ingest and read huge lines, measured in a child process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vigie.adapters.postgres import open_engine
from vigie.adapters.postgres.consumer import MAX_POLL_BYTES
from vigie.adapters.postgres.stream import PgStream
from vigie.records import MAX_LINE, Message

BOUND_MB = 300
MEASURED = """
import sys

def peak_mb():
    # ru_maxrss would include the peak of the parent process.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
"""
INGEST = (
    MEASURED
    + """
from typer.testing import CliRunner
from vigie.cli.main import app

run = CliRunner().invoke
assert run(app, ["stream", "topic"]).exit_code == 0
idle = peak_mb()
result = run(app, ["stream", "ingest", "--base-dir", sys.argv[1]])
assert "2 new lines of 2 files" in result.output, result.output
assert "1 of them truncated" in result.output, result.output
print(peak_mb() - idle)
"""
)
READ = (
    MEASURED
    + """
from vigie.adapters.postgres.stream import PgStream
from vigie.adapters.postgres import open_engine

stream = PgStream(open_engine(sys.argv[1]))
with stream.consumer("g", "t") as consumer:
    consumer.poll(1)
    idle, n = peak_mb(), 1
    while records := consumer.poll(1000):
        n += len(records)
assert n == 1000, n
print(peak_mb() - idle)
"""
)


def measured(script: str, argument: object, **environment: str) -> float:
    """Return the peak memory of a child process in MB, above its memory at the start."""
    child = subprocess.run(
        [sys.executable, "-I", "-c", script, str(argument)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return float(child.stdout)


def test_a_file_of_200_mb_without_a_line_end_needs_little_memory(
    tmp_path: Path, database_url: str
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    size = 200 * 1024 * 1024
    for name, end in (("open.log", b""), ("whole.log", b"\nnext\n")):
        with (folder / name).open("wb") as file:
            file.truncate(size)
            file.seek(size)
            file.write(end)
    assert measured(INGEST, folder, VIGIE_DATABASE_URL=database_url) < BOUND_MB


def test_batches_of_huge_lines_need_little_memory(database_url: str) -> None:
    """The lines compress well, so a single query could return all 250 MiB."""
    engine = open_engine(database_url)
    stream = PgStream(engine)
    stream.create_topic("t")
    for _ in range(10):
        stream.produce("t", [Message(b"y" * MAX_LINE)] * 100)
    assert measured(READ, database_url) < BOUND_MB / 3
    engine.dispose()


def test_a_poll_is_limited_by_bytes_and_skips_nothing(database_url: str) -> None:
    engine = open_engine(database_url)
    stream = PgStream(engine)
    stream.create_topic("t", 2)
    huge = os.urandom(3 * MAX_POLL_BYTES // 2)
    for partition in range(2):
        values = [os.urandom(MAX_LINE) for _ in range(50)] + [b"small"] * 50 + [huge, b"last"]
        stream.produce("t", [Message(value) for value in values], partition)
    pages: list[list[tuple[int, int, int]]] = []
    with stream.consumer("g", "t") as consumer:
        while records := consumer.poll(1000):
            pages.append([(r.partition, r.offset, len(r.value)) for r in records])
    sizes = [sum(size for *_, size in page) for page in pages]
    assert max(sizes) <= MAX_POLL_BYTES + len(huge)
    assert sorted(size > MAX_POLL_BYTES + MAX_LINE for size in sizes).count(True) <= 2
    for partition in range(2):
        offsets = [offset for page in pages for p, offset, _ in page if p == partition]
        assert offsets == list(range(102))
    engine.dispose()
