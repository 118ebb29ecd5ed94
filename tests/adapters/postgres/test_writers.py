"""Concurrent writers in separate processes, because threads would share a connection pool."""

from __future__ import annotations

import subprocess
import sys

from vigie.adapters.postgres import SqlPredictions, open_engine

N_WRITERS, N_EACH = 8, 25
WRITER = """
import sys
from vigie.adapters.postgres import SqlPredictions, open_engine
from vigie.testing.contracts.record_stores import prediction

store = SqlPredictions(open_engine(sys.argv[1]))
first, n = int(sys.argv[2]), int(sys.argv[3])
store.count()
print("ready", flush=True)
sys.stdin.readline()
print(*(store.add(prediction(number)) for number in [*range(first, first + n), 100_000]))
"""


def test_eight_processes_write_every_prediction_once_without_gaps(
    database_url: str,
) -> None:
    command = [sys.executable, "-I", "-c", WRITER, database_url]
    writers = [
        subprocess.Popen(
            [*command, str(writer * N_EACH), str(N_EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(N_WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [[int(word) for word in w.communicate(timeout=60)[0].split()] for w in writers]
    assert {writer.returncode for writer in writers} == {0}
    shared = {offsets.pop() for offsets in answers}
    assert len(shared) == 1, "a transaction id is stored once"
    offsets = sorted([offset for own in answers for offset in own] + [*shared])
    assert offsets == list(range(N_WRITERS * N_EACH + 1))
    engine = open_engine(database_url)
    page = SqlPredictions(engine).page(0, 1000)
    engine.dispose()
    assert [event.offset for event in page] == offsets
    assert len({event.prediction.transaction_id for event in page}) == len(offsets)
