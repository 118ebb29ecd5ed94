"""Every server that ``make services`` knows, in the order of starting."""

from __future__ import annotations

from collections.abc import Mapping

from servers.elastic_node import ElasticNode
from servers.kafka_broker import KafkaBroker
from servers.postgres_server import PostgresServer
from servers.prometheus_servers import Alertmanager, Prometheus, Pushgateway
from servers.redis_server import RedisServer
from servers.server import Server

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
