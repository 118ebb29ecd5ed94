"""The contract of :class:`vigie.roles.Tracker`, for trackers with a registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vigie.errors import PermanentError
from vigie.roles import Tracker
from vigie.testing.contracts import Contract, raised, together

CHECKS = Contract()


@dataclass(frozen=True, slots=True)
class TrackerSubject:
    """A tracker, a unique name, and a model to log."""

    tracker: Tracker
    name: str
    model: Any  # fitted
    example: Any  # input rows of the model
    folder: Path

    def logged(self, key: str) -> str:
        """Log the model in the tracked run with this key, and return the id of that run."""
        with self.tracker.run(self.name, "n", key=key) as run:
            run.log_model("m", self.model, self.example)
        return run.run_id


@CHECKS
def the_same_key_reopens_the_same_run(subject: TrackerSubject) -> None:
    keys = ("r1:logistic", "r1:logistic", "r2:logistic")
    found = []
    for number, key in enumerate(keys):
        with subject.tracker.run(subject.name, f"name-{number}", key=key) as run:
            found.append(run.run_id)
    assert found[0] == found[1] != found[2]


@CHECKS
def runs_without_a_key_are_separate(subject: TrackerSubject) -> None:
    with subject.tracker.run(subject.name, "n") as first:
        pass
    with subject.tracker.run(subject.name, "n") as second:
        pass
    assert first.run_id != second.run_id


@CHECKS
def a_retry_can_log_the_same_values_again(subject: TrackerSubject) -> None:
    note = subject.folder / "note.txt"
    note.write_text("x")
    for _ in range(2):
        with subject.tracker.run(subject.name, "n", {"data": "h"}, key="k") as run:
            run.log_params({"threshold": 0.4, "candidate": "random_forest"})
            run.log_metrics({"f1": 0.9, "auc": float("nan")})
            run.log_file(note)
            run.log_model("random_forest", subject.model, subject.example)
    register = partial(subject.tracker.register, subject.name, 1, run.run_id)
    assert register() == register()


@CHECKS
def an_alias_returns_the_bundle_version(subject: TrackerSubject) -> None:
    for version in (3, 7):
        subject.tracker.register(subject.name, version, subject.logged(f"k{version}"))
    for version in (7, 3):
        subject.tracker.set_alias(subject.name, "champion", version)
        assert subject.tracker.alias(subject.name, "champion") == version


@CHECKS
def an_unknown_alias_is_none(subject: TrackerSubject) -> None:
    assert subject.tracker.alias(subject.name, "champion") is None
    subject.tracker.register(subject.name, 1, subject.logged("k"))
    assert subject.tracker.alias(subject.name, "champion") is None


@CHECKS
def an_alias_to_a_version_that_is_not_registered_is_refused(subject: TrackerSubject) -> None:
    raised(PermanentError, partial(subject.tracker.set_alias, subject.name, "champion", 99))


@CHECKS
def an_error_inside_a_run_is_raised_unchanged(subject: TrackerSubject) -> None:
    def fail() -> None:
        with subject.tracker.run(subject.name, "n", key="k"):
            raise ZeroDivisionError

    raised(ZeroDivisionError, fail)


@CHECKS
def a_run_has_an_address(subject: TrackerSubject) -> None:
    with subject.tracker.run(subject.name, "n", key="k") as run:
        pass
    assert run.run_id in (subject.tracker.run_url(run.run_id) or run.run_id)


@CHECKS
def concurrent_runs_are_separate(subject: TrackerSubject) -> None:
    """Concurrent runs also create the experiment concurrently."""

    def work(number: int) -> str:
        with subject.tracker.run(subject.name, f"n{number}", key=f"k{number}") as run:
            run.log_metrics({"f1": number / 10})
        return run.run_id

    found = together([partial(work, number) for number in range(3)])
    assert len({str(run_id) for run_id in found}) == 3, found
    assert all(isinstance(run_id, str) for run_id in found), found
    assert [work(number) for number in range(3)] == found
