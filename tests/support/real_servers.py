"""Addresses of the real servers of ``make services``; a test skips without its server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from servers.bring_up import STOPPED
from servers.processes import process_of
from servers.state import Site, read_site
from support.prefixed_index import PrefixedIndex

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses a real server as ``service``."""
    for item in items:
        if {"require_service", "site"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)


@pytest.fixture(scope="session")
def site() -> Site:
    """Return the saved state of this checkout's servers."""
    return read_site(ROOT)


@pytest.fixture(scope="session")
def service_urls(site: Site) -> Mapping[str, str]:
    """Return the address of each running server."""
    return {name: url for name, url in site.urls.items() if process_of(site, name) is not None}


@pytest.fixture(scope="session")
def require_service(site: Site, service_urls: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that returns a server's address or skips the test with the reason."""

    def require(name: str) -> str:
        if name in service_urls:
            return service_urls[name]
        reason = site.skipped.get(name, STOPPED)
        pytest.skip(f"{name} is not available: {reason}")

    return require


@pytest.fixture(scope="session")
def postgres15_url(require_service: Callable[[str], str]) -> str:
    """Return the superuser's SQLAlchemy URL of the system's PostgreSQL."""
    return require_service("postgres")


@pytest.fixture(scope="session")
def kafka_servers(require_service: Callable[[str], str]) -> str:
    return require_service("kafka")


@pytest.fixture(scope="session")
def elasticsearch_url(require_service: Callable[[str], str]) -> str:
    return require_service("elasticsearch")


@pytest.fixture(scope="session")
def prometheus_url(require_service: Callable[[str], str]) -> str:
    return require_service("prometheus")


@pytest.fixture(scope="session")
def pushgateway_url(require_service: Callable[[str], str]) -> str:
    return require_service("pushgateway")


@pytest.fixture(scope="session")
def alertmanager_url(require_service: Callable[[str], str]) -> str:
    return require_service("alertmanager")


@pytest.fixture(scope="session")
def redis_url(require_service: Callable[[str], str]) -> str:
    return require_service("redis")


@pytest.fixture
def es_index(elasticsearch_url: str) -> Iterator[PrefixedIndex]:
    """Return a log index on the real Elasticsearch with unique index names."""
    from vigie.adapters.elastic.index import EsIndex

    inner = EsIndex(elasticsearch_url)
    index = PrefixedIndex(inner, f"t-{secrets.token_hex(4)}-")
    yield index
    for name in index.names:
        index.drop(name)
        inner.client.request("DELETE", f"/_index_template/vigie-{index.prefix}{name}")
    inner.close()
