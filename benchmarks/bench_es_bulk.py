"""Compare writing to Elasticsearch with its bulk helper and with prepared request bodies.

Run ``.venv/bin/python -I benchmarks/bench_es_bulk.py``. The first ratio is the processor time of
the client per document, vigie to ``elasticsearch.helpers.bulk``, without a server.
The second ratio needs the server of ``make services``: documents per second, vigie to prepared
request bodies. Both sides of a ratio alternate in one process; the ratio is that of the medians.
"""

from __future__ import annotations

import hashlib
import secrets
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elastic_transport
import orjson
from elastic_transport._node._base import NodeApiResponse
from elasticsearch import Elasticsearch, helpers

from servers.processes import process_of
from servers.state import read_site
from vigie.adapters.elastic.encode import chunks, encoded
from vigie.adapters.elastic.index import EsIndex
from vigie.collection.index_specs import MESSAGE
from vigie.records import Document, IndexSpec

ROOT = Path(__file__).resolve().parents[1]
N = 20_000
ROUNDS = 5
MOST_CPU, LEAST_SPEED = 0.5, 0.8


class NullNode(elastic_transport.BaseNode):
    """A node that answers every request at once: each bulk item was created."""

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Any = None,
        request_timeout: Any = None,
    ) -> NodeApiResponse:
        answer = b'{"x":{"mappings":{}}}'
        if "_bulk" in target and body is not None:
            n = body.count(b'{"create":{')
            item = b'{"create":{"status":201}}'
            if "filter_path" not in target:
                item = (
                    b'{"create":{"_index":"x","_id":"%064d","_version":1,"result":"created",'
                    b'"_shards":{"total":1,"successful":1,"failed":0},"_seq_no":1,'
                    b'"_primary_term":1,"status":201}}' % n
                )
            answer = b'{"took":1,"errors":false,"items":[%b]}' % b",".join([item] * n)
        names = {"x-elastic-product": "Elasticsearch", "content-type": "application/json"}
        meta = elastic_transport.ApiResponseMeta(
            200, "1.1", elastic_transport.HttpHeaders(names), 0.0, self.config
        )
        return NodeApiResponse(meta, answer)

    def close(self) -> None:
        pass


def documents() -> list[Document]:
    """Return documents of predictions with thirty features (about 900 bytes)."""
    features = {f"feature_{i:02}": i * 1.25 for i in range(30)}
    return [
        Document(
            hashlib.sha256(str(i).encode()).hexdigest(),
            {
                "@timestamp": "2026-11-21T12:00:00.123456+00:00",
                "ingested_at": "2026-11-21T12:00:01+00:00",
                "clock_skew": False,
                "source": "api",
                "source_offset": i,
                "transaction_id": f"{i:032x}",
                "http_method": "POST",
                "http_path": "/predict",
                "status_code": 200,
                "execution_time_ms": 3.25,
                "model": "breast_cancer",
                "model_version": 3,
                "input_data": features,
                "result": {"prediction": "YES", "probability": 0.93, "message": "high risk"},
            },
        )
        for i in range(N)
    ]


def alternate(actions: list[Callable[[], Any]], clock: Callable[[], float]) -> list[float]:
    """Run the actions in turns and return the median seconds of each."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS):
        for action, spent in zip(actions, times, strict=True):
            began = clock()
            action()
            spent.append(clock() - began)
    return [statistics.median(spent) for spent in times]


def client_ratio(batch: list[Document]) -> float:
    stock = Elasticsearch("http://localhost:9200", node_class=NullNode)
    ours = EsIndex("http://localhost:9200", node_class=NullNode)

    def theirs() -> None:
        actions = (
            {"_op_type": "create", "_index": "x", "_id": d.id, "_source": d.body} for d in batch
        )
        written, _ = helpers.bulk(stock, actions)
        assert written == N

    def mine() -> None:
        assert ours.create("x", batch).created == N

    used, taken = alternate([mine, theirs], time.process_time)
    print(f"client only: vigie {N / used:,.0f} docs/s, helpers.bulk {N / taken:,.0f} docs/s")
    ours.close()
    return used / taken


def server_ratio(url: str, batch: list[Document]) -> float:
    index = EsIndex(url)
    prefix = f"bench-{secrets.token_hex(4)}"
    bodies = [b"".join(e.lines for e in chunk) for chunk in chunks(encoded(batch, []))]
    made: list[str] = []

    def fresh() -> str:
        made.append(f"{prefix}-{len(made)}")
        index.ensure(IndexSpec(made[-1], MESSAGE.fields))
        return made[-1]

    names = iter([fresh() for _ in range(2 * ROUNDS + 2)])

    def raw() -> None:
        name = next(names)
        for body in bodies:
            index.client.once("POST", f"/{name}/_bulk", body, params={"filter_path": "errors"})

    def mine() -> None:
        index.create(next(names), batch)

    raw(), mine()  # warm up the server
    took, least = alternate([mine, raw], time.perf_counter)
    assert {index.count(name) for name in made} == {N}
    for name in made:
        index.drop(name)
        index.client.request("DELETE", f"/_index_template/vigie-{name}")
    index.close()
    print(f"real server: vigie {N / took:,.0f} docs/s, prepared bodies {N / least:,.0f} docs/s")
    return least / took


def verdict(name: str, ratio: float, target: str, holds: bool) -> None:
    print(f"{name}: {ratio:.2f} (target {target}) {'holds' if holds else 'MISSED'}")


def main() -> None:
    batch = documents()
    print(f"{N} documents of {len(orjson.dumps(batch[0].body))} bytes, {ROUNDS} rounds each")
    cpu = client_ratio(batch)
    site = read_site(ROOT)
    speed = None
    if process_of(site, "elasticsearch") is not None:
        speed = server_ratio(site.urls["elasticsearch"], batch)
    verdict("processor time, vigie / helpers.bulk", cpu, f"<= {MOST_CPU}", cpu <= MOST_CPU)
    if speed is None:
        print("documents per second, vigie / prepared bodies: no server, run `make services`")
    else:
        name = "documents per second, vigie / prepared bodies"
        verdict(name, speed, f">= {LEAST_SPEED}", speed >= LEAST_SPEED)


if __name__ == "__main__":
    main()
