"""Convert records of the stream to documents: normalise, score and classify their lines."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vigie.anomaly.scoring.normalise import Normaliser
from vigie.anomaly.scoring.scored_documents import ScoredLine
from vigie.anomaly.scoring.scorer import CachedScorer
from vigie.encoding import iso_utc
from vigie.records import MAX_LINE, Document, StreamRecord

if TYPE_CHECKING:
    from vigie.anomaly.detectors.registry import Detector
    from vigie.anomaly.scoring.threshold import DynamicThreshold, Verdict

_SHA256 = re.compile(r"[0-9a-f]{64}")  # also the format of a line id
_LENGTH = re.compile(r"[0-9]{1,18}")  # 18 digits fit into a field of type long
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CONTROL = bytes({*range(32)} - {*b"\t\n\r\x0b\x0c\x1b"})
_LOOKED_AT = 4096
_BINARY_SHARE = 0.3

SEARCHED = 80
"""Number of bytes at the start of a line that are searched for a timestamp."""

SKEW = timedelta(hours=24)
"""``clock_skew`` is true if the time in a line differs from its arrival by more than this."""

_STAMP = re.compile(
    rb"(?<!\d)(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,6}))?\d*"
    rb"\s?(Z|[+-]\d{2}:?\d{2})?"
)


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """The result of scoring a batch.

    ``documents[i]`` and ``lines[i]`` belong to ``records[i]``. ``poison`` contains the records that
    are not lines of text. ``thresholds`` contains the threshold of each partition after the batch.
    """

    records: list[StreamRecord]
    documents: list[Document]
    lines: list[ScoredLine]
    poison: list[StreamRecord]
    thresholds: dict[int, DynamicThreshold]

    def first_anomalies(self) -> dict[int, str]:
        """Return the earliest ``@timestamp`` of an anomaly in each partition that has one."""
        found: dict[int, str] = {}
        for record, document in zip(self.records, self.documents, strict=True):
            if document.body["is_anomaly"]:
                at = str(document.body["@timestamp"])
                found[record.partition] = min(at, found.get(record.partition, at))
        return found

    def count(self, status: str) -> int:
        return sum(line.status == status for line in self.lines)


class RecordScorer:
    """Convert batches of records to scored documents; cache the scores and templates."""

    def __init__(self, detector: Detector, version: int, now: Callable[[], datetime]) -> None:
        self.scorer = CachedScorer(detector)
        self.version = version
        self.now = now
        self.normaliser = Normaliser()

    def score(
        self, records: Sequence[StreamRecord], thresholds: Mapping[int, DynamicThreshold]
    ) -> ScoredBatch:
        """Score a batch; the records of each partition must be in the order of their offsets."""
        poison = [record for record in records if not is_line(record.value)]
        refused = {id(record) for record in poison}
        good = [record for record in records if id(record) not in refused]
        templates = self.normaliser.templates(_kept(record.value) for record in good)
        scored = self.scorer.score(templates)
        scores = [item.score for item in scored]
        verdicts, after = _classify(good, scores, thresholds)
        lines = [
            ScoredLine(template, item, verdict, self._why(template, verdict))
            for template, item, verdict in zip(templates, scored, verdicts, strict=True)
        ]
        documents = list(map(self._document, good, lines))
        return ScoredBatch(good, documents, lines, poison, after)

    def _why(self, template: str, verdict: Verdict | None) -> tuple[str, ...]:
        if verdict is None or not verdict.is_anomaly:
            return ()
        return tuple(self.scorer.top_tokens(template))

    def _document(self, record: StreamRecord, line: ScoredLine) -> Document:
        happened = event_time(record.value) or record.timestamp
        body = {
            "@timestamp": iso_utc(happened),
            "ingested_at": iso_utc(self.now()),
            "clock_skew": abs(happened - record.timestamp) > SKEW,
            **_message(record),
            "source": record.headers.get("source", record.topic),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "detector": self.scorer.detector.name,
            "model_version": self.version,
            **line.fields(),
        }
        return Document(document_id(record), body)


def is_line(value: bytes) -> bool:
    """Return whether a value is text: not empty, few control or invalid bytes at its start."""
    start = value[:_LOOKED_AT]
    if not start:
        return False
    broken = len(start) - len(start.translate(None, _CONTROL))
    if not start.isascii():
        broken += start.decode("utf-8", "replace").count("\ufffd")
    return broken <= _BINARY_SHARE * len(start)


def document_id(record: StreamRecord) -> str:
    """Return the header ``line_id`` if it is valid, else an id of coordinates and timestamp.

    A topic that was deleted and recreated starts at offset 0 again. Without the timestamp, a new
    line would get the id of an old line. A replay uses the same timestamp and gets the same id.
    """
    given = record.headers.get("line_id", "")
    if _SHA256.fullmatch(given):
        return given
    at = (record.timestamp - _EPOCH) // _MILLISECOND
    return f"{record.topic}-{record.partition}-{record.offset}-{at}"


def _classify(
    records: Sequence[StreamRecord],
    scores: Sequence[float | None],
    thresholds: Mapping[int, DynamicThreshold],
) -> tuple[list[Verdict | None], dict[int, DynamicThreshold]]:
    """Return the verdict of each line (None without a score), and the updated thresholds."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, (record, score) in enumerate(zip(records, scores, strict=True)):
        if score is not None:
            rows[record.partition].append(row)
    verdicts: list[Verdict | None] = [None] * len(records)
    after = dict(thresholds)
    for partition, mine in rows.items():
        found, after[partition] = thresholds[partition].classify(
            [scores[row] or 0.0 for row in mine]
        )
        for row, verdict in zip(mine, found, strict=True):
            verdicts[row] = verdict
    return verdicts, after


def _kept(value: bytes) -> bytes:
    return value[:MAX_LINE].rstrip(b"\r\n")


def _message(record: StreamRecord) -> dict[str, Any]:
    """Return the text; its base64 if not UTF-8 or with NUL; size and digest if truncated."""
    raw = _kept(record.value)
    found: dict[str, Any] = {"message": raw.decode("utf-8", "backslashreplace")}
    if b"\x00" in raw or not _is_utf8(raw):
        found["raw_b64"] = base64.b64encode(raw).decode("ascii")
    if len(record.value) > MAX_LINE:
        checksum, length = hashlib.sha256(record.value).hexdigest(), len(record.value)
        return found | {"truncated": True, "sha256": checksum, "original_length": length}
    given_length = record.headers.get("original_length", "")
    if _LENGTH.fullmatch(given_length):
        given = record.headers.get("sha256", "")
        found |= {"truncated": True, "original_length": int(given_length)}
        found |= {"sha256": given} if _SHA256.fullmatch(given) else {}
    return found


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def event_time(line: bytes) -> datetime | None:
    """Return the ISO 8601 time near the start of a line (UTC if no zone is given), or None.

    Examples
    --------
    >>> event_time(b"[2026-11-21T10:00:00.5+01:00] INFO - started").isoformat()
    '2026-11-21T09:00:00.500000+00:00'
    >>> event_time(b"2026-02-30 10:00:00 no such day") is None
    True
    """
    found = _STAMP.search(line[:SEARCHED])
    if found is None:
        return None
    numbers = [int(part) for part in found.groups()[:6]]
    fraction = int((found[7] or b"0").ljust(6, b"0"))
    try:
        at = datetime(*numbers, fraction, tzinfo=UTC)  # type: ignore[arg-type,misc]
        return at - _offset(found[8] or b"Z")
    except (ValueError, OverflowError):
        return None


def _offset(zone: bytes) -> timedelta:
    if zone == b"Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[:1] == b"+" else -1) * timedelta(hours=hours, minutes=minutes)
