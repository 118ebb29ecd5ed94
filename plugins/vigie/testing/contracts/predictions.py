"""The contract of :class:`vigie.roles.PredictionStore`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial

from vigie.errors import DataError
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import CLEAN, NOON, UGLY, Records, prediction

CHECKS = Contract()


@CHECKS
def a_prediction_is_returned_as_it_was_added(records: Records) -> None:
    assert records.predictions.add(prediction(1)) == 0
    assert records.predictions.get("t00001") == prediction(1)


@CHECKS
def optional_measurements_may_be_absent(records: Records) -> None:
    event = prediction(1, cpu_percent=None, memory_mb=None)
    records.predictions.add(event)
    assert records.predictions.get("t00001") == event


@CHECKS
def an_unknown_transaction_is_none(records: Records) -> None:
    assert records.predictions.get("unknown") is None
    assert records.predictions.get(UGLY) is None


@CHECKS
def the_same_transaction_again_changes_nothing(records: Records) -> None:
    records.predictions.add(prediction(0))
    assert records.predictions.add(prediction(0, message="other")) == 0
    assert records.predictions.add(prediction(1)) == 1, "a duplicate must not use up an offset"
    assert records.predictions.get("t00000") == prediction(0)
    assert records.predictions.count() == 2


@CHECKS
def counts_are_per_model_or_total(records: Records) -> None:
    for number, model in enumerate(["a", "b", "a"]):
        records.predictions.add(prediction(number, model=model))
    found = [records.predictions.count(model) for model in (None, "a", "b", "c")]
    assert found == [3, 2, 1, 0]


@CHECKS
def pages_follow_each_other_without_gaps(records: Records) -> None:
    for number in range(5):
        records.predictions.add(prediction(number))
    pages = [records.predictions.page(offset, 2) for offset in (0, 2, 4, 5)]
    assert [[event.offset for event in page] for page in pages] == [[0, 1], [2, 3], [4], []]
    assert pages[1][0].prediction == prediction(2)


@CHECKS
def a_window_includes_since_and_excludes_until(records: Records) -> None:
    for number in (3, 0, 2, 1):
        records.predictions.add(prediction(number))
    records.predictions.add(prediction(9, model="other"))
    minute = timedelta(minutes=1)
    rows = list(records.predictions.window("breast_cancer", NOON + minute, NOON + 3 * minute))
    assert [row.prediction for row in rows] == [prediction(1), prediction(2)]
    assert len(list(records.predictions.window("breast_cancer"))) == 4


@CHECKS
def a_window_contains_the_latest_label(records: Records) -> None:
    for number in range(2):
        records.predictions.add(prediction(number))
    records.clock.set(NOON + timedelta(hours=1))
    records.labels.add("t00001", "NO")
    records.labels.add("t00001", "YES")
    rows = list(records.predictions.window("breast_cancer"))
    assert [(row.actual, row.labelled_at) for row in rows] == [
        (None, None),
        ("YES", records.clock()),
    ]


@CHECKS
def invalid_characters_are_cleaned(records: Records) -> None:
    features = {
        UGLY: UGLY,
        "nan": float("nan"),
        "inf": [float("inf")],
        7: (1, 2),
        "deep": {"a": UGLY},
    }
    records.predictions.add(prediction(0, transaction_id=UGLY, features=features, message=UGLY))
    found = records.predictions.get(UGLY)
    assert found is not None
    assert (found.transaction_id, found.message) == (CLEAN, CLEAN)
    expected = {CLEAN: CLEAN, "nan": None, "inf": [None], "7": [1, 2], "deep": {"a": CLEAN}}
    assert found.features == expected


@CHECKS
def numbers_are_stored_exactly(records: Records) -> None:
    features = {"big": 2**63 - 1, "small": -(2**63), "float": 0.1 + 0.2, "tiny": 5e-324, "int": 3}
    records.predictions.add(prediction(0, features=features))
    found = records.predictions.get("t00000")
    assert found is not None
    assert found.features == features
    assert isinstance(found.features["int"], int)


@CHECKS
def a_prediction_that_json_cannot_represent_is_refused(records: Records) -> None:
    for features in ({"huge": 2**64}, {"object": object()}):
        raised(DataError, partial(records.predictions.add, prediction(0, features=features)))
    raised(DataError, lambda: records.predictions.add(prediction(0, probability=float("nan"))))
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  (no time zone: must be refused)
    raised(DataError, lambda: records.predictions.add(prediction(0, created_at=naive)))
    assert records.predictions.count() == 0
    assert records.predictions.add(prediction(1)) == 0, "a refusal must not use up an offset"


@CHECKS
def instants_are_returned_in_utc(records: Records) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    records.predictions.add(prediction(0, created_at=local))
    found = records.predictions.get("t00000")
    assert found is not None
    assert (found.created_at, found.created_at.utcoffset()) == (NOON, timedelta(0))


@CHECKS
def concurrent_writers_leave_no_gap_and_a_reader_skips_nothing(records: Records) -> None:
    n_writers, n_each = 4, 25
    total = n_writers * n_each

    def write(writer: int) -> list[int]:
        numbers = range(writer * n_each, (writer + 1) * n_each)
        return [records.predictions.add(prediction(number)) for number in numbers]

    def read() -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            page = records.predictions.page(len(seen), 7)
            seen += [event.offset for event in page]
        return seen

    actions = [partial(write, writer) for writer in range(n_writers)]
    *written, seen = together([*actions, read])
    assert seen == list(range(total))
    assert sorted(offset for offsets in written for offset in offsets) == seen


@CHECKS
def the_same_transaction_from_many_threads_is_stored_once(records: Records) -> None:
    offsets = together([lambda: records.predictions.add(prediction(0))] * 6)
    assert offsets == [0] * 6
    assert records.predictions.add(prediction(1)) == 1
