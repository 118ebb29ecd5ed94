"""The contract of :class:`vigie.roles.MetricsSink`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from prometheus_client.parser import text_string_to_metric_families

from vigie.catalogue import JOB_LAST_RUN, JOB_SUCCEEDED, PUSH_FAILURES, STREAM_THRESHOLD
from vigie.errors import DataError
from vigie.records import Sample
from vigie.roles import MetricsSink
from vigie.testing.contracts import Contract, raised, together

CHECKS = Contract()
SPECIAL = 'é "quoted"\nline \\ a/b=c&d?e#f %41'

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels, float]  # name, sorted labels that are not empty, value


def series_of(exposition: str) -> list[Series]:
    """Return the series in a text of Prometheus' exposition format, without empty labels."""
    return [
        (s.name, tuple(sorted((k, v) for k, v in s.labels.items() if v)), s.value)
        for family in text_string_to_metric_families(exposition)
        for s in family.samples
    ]


@dataclass(frozen=True, slots=True)
class MetricsSubject:
    """A sink, a unique job name, and a function that reads all exposed series."""

    sink: MetricsSink
    job: str
    read: Callable[[], Iterable[Series]]

    def series(self, job: str | None = None) -> dict[tuple[str, Labels], float]:
        """Return the series of a job, except those that the Pushgateway adds."""
        label = ("job", job or self.job)
        return {
            (name, labels): value
            for name, labels, value in self.read()
            if label in labels and not name.startswith("push_")
        }


def _labels(job: str, **others: str) -> Labels:
    return tuple(sorted({"job": job, **others}.items()))


@CHECKS
def a_series_has_its_own_labels_and_those_of_the_group(subject: MetricsSubject) -> None:
    samples = [Sample(STREAM_THRESHOLD, 1.5, {"topic": "t", "partition": "0"})]
    subject.sink.push(subject.job, samples, {"model": "fraud"})
    labels = _labels(subject.job, model="fraud", topic="t", partition="0")
    assert subject.series() == {(STREAM_THRESHOLD, labels): 1.5}


@CHECKS
def a_push_replaces_its_whole_group(subject: MetricsSubject) -> None:
    subject.sink.push(subject.job, [Sample(JOB_SUCCEEDED, 1), Sample(JOB_LAST_RUN, 5)])
    subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 6)])
    assert subject.series() == {(JOB_LAST_RUN, _labels(subject.job)): 6}


@CHECKS
def an_empty_push_empties_the_group(subject: MetricsSubject) -> None:
    subject.sink.push(subject.job, [Sample(JOB_SUCCEEDED, 1)])
    subject.sink.push(subject.job, [])
    assert subject.series() == {}


@CHECKS
def a_push_does_not_change_other_groups_and_jobs(subject: MetricsSubject) -> None:
    other = f"{subject.job}_other"
    subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 1)], {"model": "a"})
    subject.sink.push(other, [Sample(JOB_LAST_RUN, 2)], {"model": "b"})
    subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 3)], {"model": "b"})
    subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 4)])
    assert sorted(subject.series().values()) == [1, 3, 4]
    assert list(subject.series(other).values()) == [2]


@CHECKS
def labels_of_the_group_take_precedence(subject: MetricsSubject) -> None:
    samples = [Sample(JOB_LAST_RUN, 1, {"job": "forged", "model": "forged"})]
    subject.sink.push(subject.job, samples, {"model": "fraud"})
    assert subject.series() == {(JOB_LAST_RUN, _labels(subject.job, model="fraud")): 1}


@CHECKS
def counters_keep_their_name_and_values_are_exact(subject: MetricsSubject) -> None:
    subject.sink.push(subject.job, [Sample(PUSH_FAILURES, 2**53 - 1), Sample(JOB_LAST_RUN, 0.1)])
    labels = _labels(subject.job)
    assert subject.series() == {(PUSH_FAILURES, labels): 2**53 - 1, (JOB_LAST_RUN, labels): 0.1}


@CHECKS
def nan_and_infinity_are_exposed_unchanged(subject: MetricsSubject) -> None:
    values = {"0": math.nan, "1": math.inf, "2": -math.inf}
    samples = [Sample(STREAM_THRESHOLD, value, {"partition": p}) for p, value in values.items()]
    subject.sink.push(subject.job, samples)
    exposed = {dict(labels)["partition"]: value for (_, labels), value in subject.series().items()}
    assert math.isnan(exposed["0"])
    assert (exposed["1"], exposed["2"]) == (math.inf, -math.inf)


@CHECKS
def labels_may_hold_any_text(subject: MetricsSubject) -> None:
    subject.sink.push(
        subject.job, [Sample(STREAM_THRESHOLD, 1, {"topic": SPECIAL})], {"model": SPECIAL}
    )
    labels = _labels(subject.job, topic=SPECIAL, model=SPECIAL)
    assert subject.series() == {(STREAM_THRESHOLD, labels): 1}
    subject.sink.delete(subject.job, {"model": SPECIAL})
    assert subject.series() == {}


@CHECKS
def a_rejected_push_leaves_the_group_unchanged(subject: MetricsSubject) -> None:
    subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 1)])
    many = [Sample(STREAM_THRESHOLD, 1, {"topic": str(i)}) for i in range(101)]
    for wrong in (
        [Sample("not_in_the_catalogue", 1)],
        [Sample(JOB_LAST_RUN, 1), Sample(JOB_LAST_RUN, 2)],
        [Sample(JOB_LAST_RUN, 1), Sample(JOB_LAST_RUN, 2, {"job": "another"})],
        many,
    ):
        raised(DataError, partial(subject.sink.push, subject.job, wrong))
    assert subject.series() == {(JOB_LAST_RUN, _labels(subject.job)): 1}
    subject.sink.push(subject.job, many[:100])
    assert len(subject.series()) == 100


@CHECKS
def delete_removes_one_group_and_is_idempotent(subject: MetricsSubject) -> None:
    for model in ("a", "b"):
        subject.sink.push(subject.job, [Sample(JOB_LAST_RUN, 1)], {"model": model})
    for _ in range(2):
        subject.sink.delete(subject.job, {"model": "a"})
        subject.sink.delete(subject.job)
        assert subject.series() == {(JOB_LAST_RUN, _labels(subject.job, model="b")): 1}


@CHECKS
def concurrent_pushes_leave_one_complete_group(subject: MetricsSubject) -> None:
    def push(number: int) -> None:
        samples = [Sample(JOB_LAST_RUN, number), Sample(JOB_SUCCEEDED, number)]
        for _ in range(5):
            subject.sink.push(subject.job, samples)

    assert together([partial(push, number) for number in range(4)]) == [None] * 4
    assert len(subject.series()) == 2
    assert len(set(subject.series().values())) == 1
