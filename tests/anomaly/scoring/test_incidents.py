"""Grouping anomalies into incidents by template and ten-minute window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigie.anomaly.scoring.group_incidents import (
    INCIDENTS,
    IncidentsResult,
    group_incidents,
    window_start,
)
from vigie.anomaly.scoring.pending_incidents import mark_pending, pending_spans
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.encoding import iso_utc
from vigie.records import Document
from vigie.testing import FakeServices

INDEX, TOPIC = "scored", "logs"
START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.fixture
def ready(services: FakeServices) -> FakeServices:
    services.stream.create_topic(TOPIC)
    services.index.ensure(anomaly_index(INDEX))
    return services


def add(services: FakeServices, key: str, minute: float, template: str, **fields: Any) -> None:
    at = iso_utc(START + timedelta(minutes=minute))
    body = {
        "@timestamp": at, "template": template, "is_anomaly": True, "anomaly_score": 5.0,
        "message": template, "source": "a.log", **fields,
    }  # fmt: skip
    services.index.create(INDEX, [Document(key, body)])
    mark_pending(services.state, INDEX, TOPIC, 0, at)


def group(services: FakeServices) -> IncidentsResult:
    return group_incidents(services, topic=TOPIC, index=INDEX)


def incidents(services: FakeServices) -> list[dict[str, Any]]:
    return [dict(document.body) for document in services.index.scan(INCIDENTS.name)]


def test_lines_of_one_template_within_ten_minutes_are_one_incident(ready: FakeServices) -> None:
    add(ready, "1", 1, "disk full", anomaly_score=4.0)
    add(ready, "2", 9, "disk full", anomaly_score=7.0, source="b.log", top_tokens=["disk"])
    group(ready)
    (incident,) = incidents(ready)
    assert (incident["n_lines"], incident["max_score"]) == (2, 7.0)
    assert (incident["example_id"], incident["top_tokens"]) == ("2", ["disk"])
    assert incident["sources"] == ["a.log", "b.log"]
    assert incident["last_seen"] > incident["@timestamp"]


def test_other_templates_and_later_windows_are_other_incidents(ready: FakeServices) -> None:
    add(ready, "1", 1, "disk full")
    add(ready, "2", 11, "disk full")
    add(ready, "3", 1, "net down")
    assert group(ready).incidents == 3


def test_normal_lines_belong_to_no_incident(ready: FakeServices) -> None:
    add(ready, "1", 1, "fine", is_anomaly=False)
    add(ready, "2", 1, "unknown", is_anomaly=None)
    assert group(ready).incidents == 0


def test_grouping_twice_changes_nothing(ready: FakeServices) -> None:
    add(ready, "1", 1, "disk full")
    assert group(ready).written == 1
    before = incidents(ready)
    assert group(ready).written == 0
    assert incidents(ready) == before


def test_a_late_line_extends_its_incident(ready: FakeServices) -> None:
    add(ready, "1", 5, "disk full")
    group(ready)
    add(ready, "2", 2, "disk full")
    assert group(ready).written == 1
    (incident,) = incidents(ready)
    assert incident["n_lines"] == 2


def test_an_anomaly_marked_while_grouping_is_not_lost(ready: FakeServices) -> None:
    add(ready, "1", 1, "disk full")
    scan = ready.index.scan

    def scan_then_write(*args: Any, **kwargs: Any) -> Any:
        found = list(scan(*args, **kwargs))
        ready.index.scan = scan  # type: ignore[method-assign]
        add(ready, "2", 2, "disk full")
        return iter(found)

    ready.index.scan = scan_then_write  # type: ignore[method-assign]
    group(ready)
    assert len(pending_spans(ready.state, ready.stream, INDEX, TOPIC)) == 1
    group(ready)
    assert incidents(ready)[0]["n_lines"] == 2


def test_windows_start_at_full_ten_minutes() -> None:
    assert window_start(START + timedelta(minutes=9, seconds=59)) == START
    assert window_start(START + timedelta(minutes=10)) == START + timedelta(minutes=10)
