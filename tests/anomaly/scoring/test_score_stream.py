"""Scoring the stream: each record becomes one document or one dead letter."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vigie.anomaly.detectors.registry import ISOLATION_FOREST
from vigie.anomaly.scoring.result import ScoreResult
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.catalogue import STREAM_LOST
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.encoding import dumps
from vigie.errors import ConflictError, DataError, NotEnoughDataError
from vigie.records import MAX_LINE, IndexOutcome, Message, Position, Rejection
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector

TOPIC, GROUP, INDEX = "logs", "scorer", "scored"
NORMAL = [f"worker accepted request {n} from 10.0.0.9 in {n} ms".encode() for n in range(99)]


@pytest.fixture
def ready(services: FakeServices, trained: FakeServices) -> FakeServices:
    services.deployments = trained.deployments
    services.bundles = trained.bundles
    services.stream.create_topic(TOPIC)
    return services


def produce(services: FakeServices, *lines: bytes, partition: int = 0, **headers: str) -> None:
    services.stream.produce(TOPIC, [Message(line, headers) for line in lines], partition)


def score(services: FakeServices, **values: Any) -> ScoreResult:
    return score_stream(services, topic=TOPIC, group=GROUP, index=INDEX, **values)


def bodies(services: FakeServices) -> list[dict[str, Any]]:
    found = [dict(document.body) for document in services.index.scan(INDEX)]
    return sorted(found, key=lambda body: (body["partition"], body["offset"]))


def dead_letters(services: FakeServices) -> list[dict[str, Any]]:
    found = [dict(document.body) for document in services.index.scan(DEAD_LETTERS.name)]
    return sorted(found, key=lambda body: int(body["source_offset"]))


def test_every_line_becomes_a_document(ready: FakeServices) -> None:
    produce(ready, *NORMAL, source="a.log")
    result = score(ready)
    assert (result.read, result.indexed, result.already_there) == (99, 99, 0)
    assert [body["message"].encode() for body in bodies(ready)] == NORMAL
    assert {body["source"] for body in bodies(ready)} == {"a.log"}
    assert ready.stream.lag(GROUP, TOPIC) == 0


def test_a_second_run_changes_nothing(ready: FakeServices) -> None:
    produce(ready, *NORMAL)
    score(ready)
    before = bodies(ready)
    assert score(ready).read == 0
    assert bodies(ready) == before


def test_lines_that_every_group_has_scored_are_deleted(ready: FakeServices) -> None:
    produce(ready, *NORMAL)
    score(ready, max_lines=60, batch_size=60)
    assert ready.stream.first_offset(TOPIC, 0) == 60
    assert score(ready).read == 39
    assert ready.stream.first_offset(TOPIC, 0) == ready.stream.end_offsets(TOPIC)[0] == 99


def test_the_same_line_written_twice_by_ingest_is_one_document(ready: FakeServices) -> None:
    line_id = hashlib.sha256(b"x").hexdigest()
    produce(ready, b"once", b"once", line_id=line_id)
    result = score(ready)
    assert (result.read, result.indexed, result.already_there) == (2, 1, 1)
    assert [document.id for document in ready.index.scan(INDEX)] == [line_id]


@pytest.mark.parametrize("header", ["", "None", "x" * 2000, "../../etc"])
def test_an_invalid_line_id_is_ignored(ready: FakeServices, header: str) -> None:
    produce(ready, b"a", b"b", line_id=header)
    assert score(ready).indexed == 2


def test_the_documents_have_the_documented_fields(ready: FakeServices) -> None:
    produce(ready, *NORMAL, NORMAL[0], b"disk exploded violently", NORMAL[1])
    score(ready)
    body = bodies(ready)[100]
    assert body["is_anomaly"] is True
    assert body["anomaly_score"] > body["threshold_used"] > body["mean_score"]
    assert body["threshold_used"] == pytest.approx(
        body["mean_score"] + 3 * max(body["std_score"], 1e-3)
    )
    assert (body["status"], body["model_version"]) == ("anomaly", 1)
    assert body["template"] == "disk exploded violently"
    assert set(body["top_tokens"]) == {"disk", "exploded", "violently"}


def test_during_the_warm_up_is_anomaly_is_unknown(ready: FakeServices) -> None:
    produce(ready, *NORMAL, b"disk exploded violently", NORMAL[0])
    assert score(ready).warming_up == 100
    assert {body["is_anomaly"] for body in bodies(ready)[:100]} == {None}
    assert {body["status"] for body in bodies(ready)[:100]} == {"warming_up"}


def test_a_fixed_threshold_replaces_the_dynamic_one(ready: FakeServices) -> None:
    produce(ready, b"disk exploded", NORMAL[0])
    score(ready, threshold=-1.0)
    assert [body["is_anomaly"] for body in bodies(ready)] == [True, True]
    assert {body["threshold_used"] for body in bodies(ready)} == {-1.0}


def test_batches_and_restarts_do_not_change_a_threshold(ready: FakeServices) -> None:
    lines = [*NORMAL, b"disk exploded", *NORMAL, b"odd", *NORMAL]
    produce(ready, *lines)
    with ready.stream.consumer("other", TOPIC):
        pass  # trim keeps the lines until this group has read them
    score(ready)
    whole = [body["threshold_used"] for body in bodies(ready)]
    ready.index.drop(INDEX)
    for n in (1, 50, 7, 120, 1000):
        score_stream(ready, topic=TOPIC, group="other", index=INDEX, max_lines=n, batch_size=13)
    again = [body["threshold_used"] for body in bodies(ready)]
    assert len(again) == len(lines)
    assert again == pytest.approx(whole, abs=1e-9)


def test_the_state_is_committed_with_the_offset(ready: FakeServices) -> None:
    produce(ready, *NORMAL)
    score(ready, max_lines=60)
    position = ready.stream.positions[GROUP, TOPIC, 0]
    assert (position.offset, json.loads(position.metadata)["n"]) == (60, 60)
    assert len(position.metadata) < 3000


def test_a_new_version_starts_a_new_threshold(ready: FakeServices, tmp_path: Any) -> None:
    produce(ready, *NORMAL, *NORMAL)
    score(ready)
    other = FakeServices(tmp_path / "other")
    deploy_detector(other)
    deploy_detector(other)
    other.stream, other.index = ready.stream, ready.index
    produce(ready, NORMAL[0])
    score(other)
    assert (bodies(ready)[-1]["model_version"], bodies(ready)[-1]["status"]) == (2, "warming_up")


def test_each_partition_has_its_own_threshold(services: FakeServices, ready: FakeServices) -> None:
    ready.stream.delete_topic(TOPIC)
    ready.stream.create_topic(TOPIC, 2)
    produce(ready, *NORMAL, *NORMAL, partition=0)
    produce(ready, *NORMAL[:50], partition=1)
    score(ready, batch_size=30)
    states = [json.loads(ready.stream.positions[GROUP, TOPIC, p].metadata)["n"] for p in (0, 1)]
    assert states == [198, 50]


def test_workers_share_the_partitions(ready: FakeServices) -> None:
    ready.stream.delete_topic(TOPIC)
    ready.stream.create_topic(TOPIC, 3)
    for partition in range(3):
        produce(ready, *NORMAL, partition=partition)
    assert score(ready, partitions=[0, 2]).read == 198
    assert score(ready, partitions=[1]).read == 99
    assert ready.index.count(INDEX) == 297


def test_a_message_that_is_not_a_line_does_not_block_later_lines(ready: FakeServices) -> None:
    produce(ready, b"good", b"", bytes(range(256)) * 4, b"\x00\x01\x02" * 50, b"good too")
    result = score(ready)
    assert (result.indexed, result.dead_lettered, ready.stream.lag(GROUP, TOPIC)) == (2, 3, 0)
    letters = dead_letters(ready)
    assert base64.b64decode(letters[1]["original_b64"]) == bytes(range(256)) * 4
    assert {letter["error_type"] for letter in letters} == {"not_a_line"}
    assert [letter["source_offset"] for letter in letters] == [1, 2, 3]


@pytest.mark.parametrize("limit", [10_000_000, 300_000, 20_000, 2_000, 10, 0, -1])
def test_a_copy_that_is_too_large_does_not_affect_the_others(
    ready: FakeServices, limit: int
) -> None:
    copies = f"{TOPIC}.dlq"
    ready.stream.max_bytes[copies] = limit
    poison = [b"\x00" * n for n in (5, 1_048_588, 7, 300_000)]
    produce(ready, poison[0], poison[1], b"good", poison[2], poison[3], source="app")
    result = score(ready, dead_letter_topic=copies)
    assert (result.indexed, result.dead_lettered, result.lag) == (1, 4, 0)
    assert {base64.b64decode(d["original_b64"]) for d in dead_letters(ready)} == {*poison}
    with ready.stream.consumer("operator", copies) as consumer:
        found = {record.headers["offset"]: record for record in consumer.poll(100)}
    assert sorted(found) == (["0", "1", "3", "4"] if limit >= 0 else [])
    for offset, record in found.items():
        whole = {"0": poison[0], "1": poison[1], "3": poison[2], "4": poison[3]}[offset]
        assert len(record.value) <= limit
        if record.value != whole:
            assert record.headers["original_length"] == str(len(whole))
            assert record.headers["sha256"] == hashlib.sha256(whole).hexdigest()


def test_equal_messages_are_separate_dead_letters(ready: FakeServices) -> None:
    produce(ready, b"", b"", b"")
    assert score(ready).dead_lettered == 3
    assert ready.index.count(DEAD_LETTERS.name) == 3


def test_a_refused_document_is_a_dead_letter(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(ready, b"good", b"bad", b"good")
    create = ready.index.create

    def refuse_one(index: str, documents: Any) -> IndexOutcome:
        if index != INDEX:
            return create(index, documents)
        kept = [d for d in documents if d.body["message"] != "bad"]
        refused = tuple(
            Rejection(d.id, "document_parsing_exception", "no") for d in documents if d not in kept
        )
        outcome = create(index, kept)
        return IndexOutcome(outcome.created, outcome.already_there, refused)

    monkeypatch.setattr(ready.index, "create", refuse_one)
    result = score(ready)
    assert (result.indexed, result.dead_lettered) == (2, 1)
    (letter,) = dead_letters(ready)
    assert (base64.b64decode(letter["original_b64"]), letter["target_index"]) == (b"bad", INDEX)


def test_a_blank_line_has_no_score_and_no_verdict(ready: FakeServices) -> None:
    produce(ready, b"   ")
    assert score(ready).unscored == 1
    (body,) = bodies(ready)
    assert (body["anomaly_score"], body["is_anomaly"]) == (None, None)
    assert (body["score_error"], body["status"]) == ("empty", "unscored")


def test_a_score_that_is_not_finite_does_not_update_the_threshold(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from vigie.anomaly.detectors.lstm_autoencoder import LstmAutoencoder

    nan_for_bad = LstmAutoencoder.score

    def broken(self: LstmAutoencoder, lines: Any) -> Any:
        return np.where(["bad" in line for line in lines], np.nan, nan_for_bad(self, lines))

    monkeypatch.setattr(LstmAutoencoder, "score", broken)
    produce(ready, *NORMAL, *NORMAL, b"bad", NORMAL[0])
    assert score(ready).unscored == 1
    assert bodies(ready)[198]["score_error"] == "nan"
    assert math.isfinite(json.loads(ready.stream.positions[GROUP, TOPIC, 0].metadata)["mean"])
    assert bodies(ready)[199]["is_anomaly"] is False


def test_bytes_that_are_not_utf8_are_kept(ready: FakeServices) -> None:
    produce(ready, b"caf\xe9 closed", b"nul \x00 inside a longer line of text", "ünïcode".encode())
    score(ready)
    latin, nul, clean = bodies(ready)
    assert latin["message"] == "caf\\xe9 closed"
    assert base64.b64decode(latin["raw_b64"]) == b"caf\xe9 closed"
    assert base64.b64decode(nul["raw_b64"]).count(b"\x00") == 1
    assert "raw_b64" not in clean


def test_a_huge_line_is_truncated_with_length_and_digest(ready: FakeServices) -> None:
    whole = b"word " * MAX_LINE
    produce(ready, whole)
    score(ready)
    (body,) = bodies(ready)
    assert len(body["message"]) <= MAX_LINE
    assert (body["truncated"], body["original_length"]) == (True, len(whole))
    assert body["sha256"] == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize(
    "length", ["abc", "", "-5", "1.5", "٣٤", "1_000", " 7 ", "9" * 12_000, "99999999999999999999"]
)
def test_an_invalid_length_header_is_ignored(ready: FakeServices, length: str) -> None:
    produce(ready, b"good", original_length=length, sha256="x" * 40_000)
    assert score(ready).indexed == 1
    (body,) = bodies(ready)
    assert not body.keys() & {"truncated", "original_length", "sha256"}


def test_the_length_that_ingest_gave_is_kept(ready: FakeServices) -> None:
    whole = hashlib.sha256(b"whole").hexdigest()
    produce(ready, b"cut", original_length="209715200", sha256=whole)
    produce(ready, b"cut too", original_length="209715200", sha256="of somebody else")
    score(ready)
    facts = [(b["truncated"], b["original_length"], b.get("sha256")) for b in bodies(ready)]
    assert facts == [(True, 209715200, whole), (True, 209715200, None)]


def test_unknown_headers_do_not_stop_scoring(ready: FakeServices) -> None:
    odd = {"": "", "\x00": "\x00\udcff", "k" * 40_000: "v" * 40_000, "line_id": "\n"}
    many = {f"header {n}": "x" for n in range(5000)}
    for headers in (odd, many):
        ready.stream.produce(TOPIC, [Message(b"good", headers), Message(b"", headers)])
    result = score(ready)
    assert (result.indexed, result.dead_lettered, ready.stream.lag(GROUP, TOPIC)) == (2, 2, 0)
    for letter in dead_letters(ready):
        assert len(dumps(letter["extra"])) < 100_000
        assert letter["extra"]["headers_cut"] is True


def test_lines_of_a_recreated_topic_get_new_ids(ready: FakeServices) -> None:
    """Offsets start at 0 again, so only the timestamps make the ids distinct."""
    produce(ready, b"old line")
    score(ready)
    ready.stream.delete_topic(TOPIC)
    ready.stream.create_topic(TOPIC)
    ready.clock.advance(seconds=1)
    produce(ready, b"new line")
    result = score(ready)
    assert (result.indexed, result.already_there) == (1, 0)
    assert {body["message"] for body in bodies(ready)} == {"old line", "new line"}


def test_the_default_id_has_coordinates_and_timestamp(ready: FakeServices) -> None:
    produce(ready, b"a line", b"")
    score(ready)
    (line,), (letter,) = ready.index.scan(INDEX), ready.index.scan(DEAD_LETTERS.name)
    assert [line.id, letter.id] == [f"{TOPIC}-0-{n}-1795255200000" for n in (0, 1)]


def test_the_timestamp_in_the_line_is_preferred(ready: FakeServices) -> None:
    produce(ready, b"2026-11-21T09:59:59.5Z started", b"2005-06-03 15:42:50 old", b"no time")
    score(ready)
    now = "2026-11-21T10:00:00.000000Z"
    assert [body["@timestamp"] for body in bodies(ready)] == [
        "2026-11-21T09:59:59.500000Z", "2005-06-03T15:42:50.000000Z", now,
    ]  # fmt: skip
    assert [body["clock_skew"] for body in bodies(ready)] == [False, True, False]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_accounted_for(ready: FakeServices, lines: list[bytes]) -> None:
    produce(ready, *lines)
    result = score(ready)
    assert result.read == len(lines) == result.indexed + result.dead_lettered
    for body in bodies(ready):
        json.loads(dumps(body).decode("utf-8", "strict"))


def test_max_lines_limits_a_run(ready: FakeServices) -> None:
    produce(ready, *NORMAL)
    assert [score(ready, max_lines=40).read for _ in range(4)] == [40, 40, 19, 0]


def test_the_detector_can_be_selected(ready: FakeServices, tmp_path: Any) -> None:
    services = FakeServices(tmp_path / "forest")
    deploy_detector(services, ISOLATION_FOREST)
    services.stream.create_topic(TOPIC)
    produce(services, NORMAL[0], b"disk exploded")
    score(services, detector=ISOLATION_FOREST)
    normal, strange = bodies(services)
    assert strange["anomaly_score"] > normal["anomaly_score"]
    assert normal["detector"] == ISOLATION_FOREST


def test_without_a_detector_scoring_raises_not_enough_data(services: FakeServices) -> None:
    services.stream.create_topic(TOPIC)
    produce(services, b"x")
    with pytest.raises(NotEnoughDataError, match="vigie anomaly train"):
        score(services)
    assert services.stream.lag(GROUP, TOPIC) == 1


def test_without_a_topic_scoring_raises_not_enough_data(services: FakeServices) -> None:
    with pytest.raises(NotEnoughDataError, match="vigie stream topic"):
        score(services)


def test_a_worker_that_lost_its_lease_commits_nothing(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(ready, *NORMAL)
    create = ready.index.create

    def expel(index: str, documents: Any) -> IndexOutcome:
        ready.stream.expel(GROUP, TOPIC)
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", expel)
    with pytest.raises(ConflictError):
        score(ready)
    monkeypatch.undo()
    result = score(ready)
    assert (result.indexed, result.already_there) == (0, 99)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"max_lines": 0}, {"factor": -1.0}, {"update": "sometimes"}]
)
def test_invalid_options_are_refused(ready: FakeServices, wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        score(ready, **wrong)


def test_lost_lines_are_skipped_only_with_allow_gap(ready: FakeServices) -> None:
    produce(ready, *NORMAL, *NORMAL)
    score(ready)  # deletes the scored lines
    state = ready.stream.positions[GROUP, TOPIC, 0].metadata
    ready.stream.positions[GROUP, TOPIC, 0] = Position(9, state)
    produce(ready, *NORMAL[:5])
    with pytest.raises(DataError, match="deleted by retention"):
        score(ready)
    result = score(ready, allow_gap=True)
    assert (result.lost, result.read, result.indexed, result.lag) == (189, 5, 5, 0)
    assert [sample.value for sample in result.metrics if sample.name == STREAM_LOST] == [189.0]
    scored = bodies(ready)[-5:]
    assert all(body["threshold_used"] is not None for body in scored)  # the state was kept
    assert score(ready, allow_gap=True).lost == 0


def test_a_position_past_the_end_of_a_recreated_topic_moves_to_its_start(
    ready: FakeServices,
) -> None:
    produce(ready, *NORMAL[:5])
    ready.stream.positions[GROUP, TOPIC, 0] = Position(50)
    result = score(ready, allow_gap=True)
    assert (result.lost, result.read, result.lag) == (0, 5, 0)


def test_lines_are_not_skipped_while_a_worker_holds_the_partition(ready: FakeServices) -> None:
    with ready.stream.consumer(GROUP, TOPIC), pytest.raises(ConflictError):
        score(ready, allow_gap=True)
