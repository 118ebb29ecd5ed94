"""The contract of :class:`vigie.roles.LabelStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from vigie.errors import PermanentError, UnknownTransactionError
from vigie.records import Label, LabelledPrediction, LabelOutcome
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import CLEAN, UGLY, Records, prediction

CHECKS = Contract()
MODEL = "breast_cancer"


def _answered(records: Records, n: int, start: int = 0) -> None:
    for number in range(start, start + n):
        records.predictions.add(prediction(number))


def _labelled(records: Records, n: int, start: int = 0) -> None:
    _answered(records, n, start)
    for number in range(start, start + n):
        records.labels.add(f"t{number:05}", "YES")


def _rows(rows: Iterable[LabelledPrediction]) -> list[tuple[str, str | None]]:
    return [(row.prediction.transaction_id, row.actual) for row in rows]


@CHECKS
def a_label_for_an_unknown_transaction_is_refused(records: Records) -> None:
    error = raised(UnknownTransactionError, lambda: records.labels.add("unknown", "YES"))
    assert "unknown" in str(error)
    assert records.labels.history("unknown") == []


@CHECKS
def the_same_label_again_is_already_there(records: Records) -> None:
    _answered(records, 1)
    assert records.labels.add("t00000", "YES") is LabelOutcome.RECORDED
    assert records.labels.add("t00000", "YES") is LabelOutcome.ALREADY_THERE
    assert len(records.labels.history("t00000")) == 1


@CHECKS
def a_correction_keeps_both_labels(records: Records) -> None:
    _answered(records, 1)
    first = records.clock()
    records.labels.add("t00000", "YES", source="form")
    records.clock.advance(minutes=5)
    assert records.labels.add("t00000", "NO", source="api") is LabelOutcome.CORRECTED
    assert records.labels.history("t00000") == [
        Label("t00000", "YES", 1, first, "form"),
        Label("t00000", "NO", 2, first + timedelta(minutes=5), "api"),
    ]


@CHECKS
def a_label_may_be_corrected_back(records: Records) -> None:
    _answered(records, 1)
    outcomes = [records.labels.add("t00000", actual) for actual in ("YES", "NO", "YES")]
    assert outcomes == ["recorded", "corrected", "corrected"]


@CHECKS
def a_corrected_prediction_counts_once(records: Records) -> None:
    _labelled(records, 2)
    records.labels.add("t00000", "NO")
    assert (records.labels.count(MODEL), records.labels.count_unused(MODEL)) == (2, 2)
    assert records.labels.count("other") == 0


@CHECKS
def labels_with_invalid_characters_are_cleaned(records: Records) -> None:
    records.predictions.add(prediction(0, transaction_id=UGLY))
    records.labels.add(UGLY, UGLY, UGLY)
    [label] = records.labels.history(UGLY)
    assert (label.transaction_id, label.actual, label.source) == (CLEAN, CLEAN, CLEAN)


@CHECKS
def a_claim_freezes_the_current_rows_and_labels(records: Records) -> None:
    _labelled(records, 2)
    assert records.labels.claim(MODEL, "run1") == 2
    records.labels.add("t00000", "NO")
    _labelled(records, 1, start=2)
    assert records.labels.claim(MODEL, "run1") == 2, "claiming again must change nothing"
    rows = records.labels.claimed(MODEL, "run1")
    assert _rows(rows) == [("t00000", "YES"), ("t00001", "YES")]


@CHECKS
def rows_stay_unused_until_archived(records: Records) -> None:
    _labelled(records, 3)
    records.labels.claim(MODEL, "run1")
    _labelled(records, 1, start=3)
    assert records.labels.count_unused(MODEL) == 4
    assert [records.labels.archive(MODEL, "run1") for _ in range(2)] == [3, 3]
    assert records.labels.count_unused(MODEL) == 1
    assert records.labels.count(MODEL) == 4


@CHECKS
def a_later_run_reads_archived_rows_and_its_own_once_each(records: Records) -> None:
    _labelled(records, 2)
    records.labels.claim(MODEL, "run1")
    records.labels.archive(MODEL, "run1")
    records.labels.add("t00001", "NO")  # The next run uses a correction of an archived row.
    _labelled(records, 1, start=2)
    assert records.labels.claim(MODEL, "run2") == 1
    rows = _rows(records.labels.claimed(MODEL, "run2"))
    assert rows == [("t00000", "YES"), ("t00001", "NO"), ("t00002", "YES")]


@CHECKS
def rows_of_a_failed_run_belong_to_the_next(records: Records) -> None:
    _labelled(records, 2)
    records.labels.claim(MODEL, "failed")
    _labelled(records, 1, start=2)
    assert records.labels.claim(MODEL, "next") == 3
    assert records.labels.archive(MODEL, "next") == 3
    assert records.labels.count_unused(MODEL) == 0
    assert len(_rows(records.labels.claimed(MODEL, "failed"))) == 2, "a claim must keep its rows"
    records.labels.archive(MODEL, "failed")
    assert records.labels.claim(MODEL, "third") == 0
    assert len(_rows(records.labels.claimed(MODEL, "third"))) == 3, "each row must be returned once"


@CHECKS
def rows_are_separate_per_model(records: Records) -> None:
    _labelled(records, 1)
    records.predictions.add(prediction(7, model="fraud"))
    records.labels.add("t00007", "NO")
    assert records.labels.claim("fraud", "run1") == 1
    assert records.labels.claim(MODEL, "run1") == 1
    assert _rows(records.labels.claimed("fraud", "run1")) == [("t00007", "NO")]
    records.labels.archive("fraud", "run1")
    assert (records.labels.count_unused("fraud"), records.labels.count_unused(MODEL)) == (0, 1)


@CHECKS
def an_empty_claim_has_no_rows(records: Records) -> None:
    assert records.labels.claim(MODEL, "run1") == 0
    assert _rows(records.labels.claimed(MODEL, "run1")) == []
    assert records.labels.archive(MODEL, "run1") == 0


@CHECKS
def a_run_that_claimed_nothing_cannot_read_or_archive(records: Records) -> None:
    raised(PermanentError, lambda: list(records.labels.claimed(MODEL, "stranger")))
    raised(PermanentError, lambda: records.labels.archive(MODEL, "stranger"))


@CHECKS
def concurrent_reports_of_one_label_record_it_once(records: Records) -> None:
    _answered(records, 1)
    outcomes = together([lambda: records.labels.add("t00000", "YES")] * 6)
    assert Counter(outcomes) == {LabelOutcome.RECORDED: 1, LabelOutcome.ALREADY_THERE: 5}


@CHECKS
def concurrent_different_labels_are_kept_in_one_order(records: Records) -> None:
    _answered(records, 1)
    outcomes = together([partial(records.labels.add, "t00000", f"L{i}") for i in range(6)])
    history = records.labels.history("t00000")
    assert Counter(outcomes) == {LabelOutcome.RECORDED: 1, LabelOutcome.CORRECTED: 5}
    assert [label.seq for label in history] == [1, 2, 3, 4, 5, 6]
    assert {label.actual for label in history} == {f"L{i}" for i in range(6)}


@CHECKS
def labels_that_arrive_while_runs_claim_and_archive_are_used_once(records: Records) -> None:
    _answered(records, 60)

    def report() -> None:
        for number in range(60):
            records.labels.add(f"t{number:05}", "YES")

    def train() -> list[int]:
        used = []
        for run in range(8):
            records.labels.claim(MODEL, f"run{run}")
            used.append(records.labels.archive(MODEL, f"run{run}"))
        return used

    _, used = together([report, train])
    records.labels.claim(MODEL, "last")
    last = records.labels.archive(MODEL, "last")
    assert isinstance(used, list)
    assert sum(used) + last == 60
    assert records.labels.count_unused(MODEL) == 0
