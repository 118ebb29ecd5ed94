"""Replay dead letters of the stream: score and index their lines again."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.score_records import RecordScorer, is_line
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.threshold import DynamicThreshold
from vigie.dead_letters.letters import original_bytes
from vigie.dead_letters.replay import ReplayHandler, batches
from vigie.errors import NotEnoughDataError
from vigie.records import Document, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import LogIndex, Services

log = logging.getLogger(__name__)


def stream_replay(services: Services) -> ReplayHandler:
    """Return the handler that scores and indexes dead letters of the stream again.

    A dead letter contains the line but no score, so the current champion of the same detector
    scores the line. The document gets the id of the dead letter, so a repeated replay writes no
    second document. The line is not classified (status ``warming_up`` or ``unscored``) and does not
    update the threshold, which later lines have changed. If no version of the detector is deployed,
    the dead letter is kept and a warning is logged.
    """

    def replay(letters: Sequence[Document]) -> Iterator[Sequence[str]]:
        groups: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for letter in letters:
            detector = letter.body.get("extra", {}).get("detector", LSTM_AUTOENCODER)
            groups[detector, letter.body["target_index"]].append(letter)
        for (detector, index), own in groups.items():
            try:
                champion = champion_detector(services, detector)
            except NotEnoughDataError as exc:
                log.warning("%d dead letters of the stream were not replayed: %s", len(own), exc)
                continue
            scorer = RecordScorer(champion.detector, champion.version, services.now)
            services.index.ensure(anomaly_index(index))
            for batch in batches(own):
                yield _replay(services.index, scorer, index, batch)

    return ReplayHandler(lambda letter: is_line(original_bytes(letter.body)), replay)


def record_of(letter: Document) -> StreamRecord:
    """Rebuild the stream record of a dead letter."""
    body, extra = letter.body, letter.body.get("extra", {})
    at = extra.get("timestamp", body["@timestamp"])  # missing in dead letters of older versions
    return StreamRecord(
        topic=extra.get("topic", body["source"]),
        partition=body.get("source_partition", 0),
        offset=body["source_offset"],
        value=original_bytes(body),
        headers={**extra.get("headers", {}), "source": body["source"]},
        timestamp=datetime.fromisoformat(at),
    )


def _replay(
    log_index: LogIndex, scorer: RecordScorer, index: str, letters: Sequence[Document]
) -> list[str]:
    documents = [
        Document(letter.id, scored.body)
        for letter in letters
        for scored in _scored(scorer, record_of(letter))
    ]
    refused = {rejection.id for rejection in log_index.create(index, documents).rejected}
    return [document.id for document in documents if document.id not in refused]


def _scored(scorer: RecordScorer, record: StreamRecord) -> list[Document]:
    """Return the document of a record as a list, which is empty if the value is not a line."""
    return scorer.score([record], {record.partition: DynamicThreshold()}).documents
