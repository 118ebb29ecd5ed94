"""Every server that ``make services`` knows, in the order of starting."""

from __future__ import annotations

from collections.abc import Mapping

from vigie.local.services.elastic_node import ElasticNode
from vigie.local.services.kafka_broker import KafkaBroker
from vigie.local.services.postgres_server import PostgresServer
from vigie.local.services.prometheus_servers import Alertmanager, Prometheus, Pushgateway
from vigie.local.services.redis_server import RedisServer
from vigie.local.services.server import Server

_ALL: tuple[Server, ...] = (
    PostgresServer(),
    KafkaBroker(),
    ElasticNode(),
    RedisServer(),
    Pushgateway(),
    Alertmanager(),
    Prometheus(),
)
SERVERS: Mapping[str, Server] = {server.name: server for server in _ALL}
