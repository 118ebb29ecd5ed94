"""The embedded metrics sink and the merged exposition of its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vigie import catalogue
from vigie.adapters.metrics.text_files import MetricsFiles
from vigie.errors import DataError, TransientError
from vigie.monitoring.exposition import merge_metrics
from vigie.records import Sample

SUCCEEDED, FAILED = catalogue.JOB_SUCCEEDED, catalogue.JOB_TASKS_FAILED


@pytest.fixture
def sink(tmp_path: Path) -> MetricsFiles:
    return MetricsFiles(tmp_path, clock=lambda: 1000.0)


def series(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_series_has_the_labels_of_its_group(sink: MetricsFiles, tmp_path: Path) -> None:
    sink.push("dag", [Sample(SUCCEEDED, 1)], {"model": "fraud"})
    found = series(merge_metrics(tmp_path))
    assert found[SUCCEEDED, (("job", "dag"), ("model", "fraud"))] == 1


def test_a_group_has_its_push_time(sink: MetricsFiles, tmp_path: Path) -> None:
    sink.push("dag", [])
    assert series(merge_metrics(tmp_path)) == {("push_time_seconds", (("job", "dag"),)): 1000.0}


def test_a_push_replaces_the_whole_group(sink: MetricsFiles, tmp_path: Path) -> None:
    sink.push("dag", [Sample(SUCCEEDED, 1), Sample(FAILED, 2)])
    sink.push("dag", [Sample(FAILED, 3)])
    found = series(merge_metrics(tmp_path))
    assert (SUCCEEDED, (("job", "dag"),)) not in found
    assert found[FAILED, (("job", "dag"),)] == 3


def test_a_push_does_not_change_other_groups(sink: MetricsFiles, tmp_path: Path) -> None:
    for model in ("a", "b"):
        sink.push("dag", [Sample(SUCCEEDED, 1)], {"model": model})
    sink.delete("dag", {"model": "a"})
    assert {labels for name, labels in series(merge_metrics(tmp_path)) if name == SUCCEEDED} == {
        (("job", "dag"), ("model", "b"))
    }


def test_a_family_in_several_files_is_exposed_once(sink: MetricsFiles, tmp_path: Path) -> None:
    for job in ("one", "two"):
        sink.push(job, [Sample(SUCCEEDED, 1)])
    text = merge_metrics(tmp_path)
    assert text.count(f"# TYPE {SUCCEEDED} ") == 1
    assert text.count(f"# HELP {SUCCEEDED} ") == 1
    assert text.count(f"\n{SUCCEEDED}{{") == 2


def test_label_values_are_escaped(sink: MetricsFiles, tmp_path: Path) -> None:
    strange = 'a"b\\c\nd{}=,é'
    sink.push("dag", [Sample(SUCCEEDED, 1)], {"model": strange})
    assert (SUCCEEDED, (("job", "dag"), ("model", strange))) in series(merge_metrics(tmp_path))


def test_a_job_name_cannot_leave_the_folder(sink: MetricsFiles, tmp_path: Path) -> None:
    sink.push("../../x", [Sample(SUCCEEDED, 1)])
    assert [path.parent for path in tmp_path.rglob("*.prom")] == [tmp_path]


def test_a_name_outside_the_catalogue_is_rejected(sink: MetricsFiles) -> None:
    with pytest.raises(DataError, match=r"not in vigie\.catalogue"):
        sink.push("dag", [Sample("my_own", 1)])


def test_a_series_given_twice_is_rejected(sink: MetricsFiles) -> None:
    with pytest.raises(DataError, match="twice"):
        sink.push("dag", [Sample(SUCCEEDED, 1), Sample(SUCCEEDED, 0)])


def test_a_full_disk_raises_a_transient_error_and_keeps_the_group(
    sink: MetricsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.push("dag", [Sample(SUCCEEDED, 1)])
    before = merge_metrics(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="ENOSPC"):
        sink.push("dag", [Sample(SUCCEEDED, 0)])
    assert merge_metrics(tmp_path) == before


def test_an_invalid_file_is_skipped(sink: MetricsFiles, tmp_path: Path) -> None:
    sink.push("dag", [Sample(SUCCEEDED, 1)])
    (tmp_path / "broken.prom").write_text("{{{ not metrics\n")
    assert SUCCEEDED in merge_metrics(tmp_path)


def test_a_file_with_another_type_of_a_family_is_skipped(
    sink: MetricsFiles, tmp_path: Path
) -> None:
    sink.push("dag", [Sample(SUCCEEDED, 1)])
    text = f"before 7\n# TYPE {SUCCEEDED} counter\n{SUCCEEDED} 7\n"
    (tmp_path / "zz.prom").write_text(text)
    assert 7 not in series(merge_metrics(tmp_path)).values()


def test_a_missing_folder_gives_an_empty_exposition(tmp_path: Path) -> None:
    assert merge_metrics(tmp_path / "absent") == ""


def test_counters_of_the_catalogue_end_in_total() -> None:
    counters = [name for name, metric in catalogue.METRICS.items() if metric.kind == "counter"]
    assert [name for name in counters if not name.endswith("_total")] == []
