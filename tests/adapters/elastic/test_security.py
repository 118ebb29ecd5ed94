"""TLS, user and password, and API keys, against a small TLS server with a fresh certificate."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.fake_es import FakeEs
from vigie.adapters.elastic.client import Access
from vigie.adapters.elastic.index import EsIndex
from vigie.errors import SettingsError
from vigie.local.check_probes import elasticsearch
from vigie.records import Document, IndexOutcome, IndexSpec
from vigie.settings import ElasticsearchSettings, Settings
from vigie.wiring import open_services

SPEC = IndexSpec("logs", {"n": "integer"})
BASIC = "Basic " + base64.b64encode(b"vigie:s3cret").decode()
KEY = "ApiKey a2V5LWlkOmtleQ=="


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the files of a certificate authority and of a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder / "ca.pem", folder / "server.pem"


@pytest.fixture
def es(certificate: tuple[Path, Path]) -> Iterator[FakeEs]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1])
    with FakeEs(tls=context, authorization=BASIC) as server:
        yield server


def test_a_user_with_a_password_writes_over_tls(es: FakeEs, certificate: tuple[Path, Path]) -> None:
    access = Access(user="vigie", password="s3cret", ca_certs=str(certificate[0]))
    index = EsIndex(es.url, access)
    index.ensure(SPEC)
    assert index.create("logs", [Document("1", {"n": 1})]) == IndexOutcome(1, 0)
    assert {seen.authorization for seen in es.seen} == {BASIC}
    index.close()


def test_the_api_key_is_sent(es: FakeEs, certificate: tuple[Path, Path]) -> None:
    es.authorization = KEY
    index = EsIndex(es.url, Access(api_key=KEY.split()[1], ca_certs=str(certificate[0])))
    assert index.count("logs") == 0
    index.close()


def test_an_untrusted_certificate_is_rejected_before_the_password_is_sent(es: FakeEs) -> None:
    index = EsIndex(es.url, Access(user="vigie", password="s3cret"))
    with pytest.raises(SettingsError, match="ELASTICSEARCH_CA_CERTS"):
        index.count("logs")
    assert es.seen == []
    index.close()


def test_certificate_checks_can_be_disabled(es: FakeEs) -> None:
    access = Access(user="vigie", password="s3cret", verify_certs=False)
    index = EsIndex(es.url, access)
    assert index.count("logs") == 0
    index.close()


def test_a_wrong_password_is_a_settings_error_that_does_not_contain_it(
    es: FakeEs, certificate: tuple[Path, Path]
) -> None:
    access = Access(user="vigie", password="wr0ng", ca_certs=str(certificate[0]))
    index = EsIndex(es.url, access)
    with pytest.raises(SettingsError, match="ELASTICSEARCH_PASSWORD") as caught:
        index.count("logs")
    assert "wr0ng" not in str(caught.value) + repr(access)
    index.close()


@pytest.mark.parametrize(
    ("access", "url"),
    [
        (Access(user="vigie"), "https://localhost:9200"),
        (Access(user="vigie", password="p", api_key="k"), "https://localhost:9200"),
        (Access(ca_certs="/nowhere/ca.pem"), "https://localhost:9200"),
        (Access(ca_certs="ca.pem"), "http://localhost:9200"),
    ],
)
def test_inconsistent_settings_are_rejected(access: Access, url: str) -> None:
    with pytest.raises(SettingsError, match="ELASTICSEARCH_"):
        EsIndex(url, access)


def _environment(es: FakeEs, ca: Path, **changes: str) -> dict[str, str]:
    return {
        "ELASTICSEARCH_HOST": "127.0.0.1",
        "ELASTICSEARCH_PORT": str(es.port),
        "ELASTICSEARCH_SCHEME": "https",
        "ELASTICSEARCH_USER": "vigie",
        "ELASTICSEARCH_PASSWORD": "s3cret",
        "ELASTICSEARCH_CA_CERTS": str(ca),
        **changes,
    }


def test_the_settings_reach_the_index(es: FakeEs, certificate: tuple[Path, Path]) -> None:
    settings = Settings.from_env(_environment(es, certificate[0]))
    with open_services(settings) as services:
        services.index.ensure(SPEC)
        assert services.index.count("logs") == 0


def test_check_uses_the_same_settings(es: FakeEs, certificate: tuple[Path, Path]) -> None:
    def probe(**changes: str) -> str:
        given = _environment(es, certificate[0], **changes)
        values: Any = {name: value for name, value in given.items() if value}
        return elasticsearch(ElasticsearchSettings.model_validate(values))

    assert probe() == "Elasticsearch 8.19.9 (cluster fake-cluster, green, nodes: 1)"
    with pytest.raises(SettingsError, match="login"):
        probe(ELASTICSEARCH_PASSWORD="wrong")
    with pytest.raises(SettingsError, match="certificate"):
        probe(ELASTICSEARCH_CA_CERTS="")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("es", "https://es:9201"),
        ("http://es", "http://es:9201"),
        ("http://es:80/", "http://es:80"),
        ("[::1]", "https://[::1]:9201"),
    ],
)
def test_a_host_may_be_a_url(host: str, url: str) -> None:
    values = {
        "ELASTICSEARCH_HOST": host,
        "ELASTICSEARCH_PORT": "9201",
        "ELASTICSEARCH_SCHEME": "https",
    }
    assert ElasticsearchSettings.model_validate(values).url == url


@pytest.mark.parametrize("host", ["http://vigie:s3cret@es:9200", "es/path", "https://es/path"])
def test_a_host_with_a_password_or_a_path_is_rejected(host: str) -> None:
    settings = ElasticsearchSettings.model_validate({"ELASTICSEARCH_HOST": host})
    with pytest.raises(SettingsError, match="ELASTICSEARCH_PASSWORD") as caught:
        _ = settings.url
    assert "s3cret" not in str(caught.value)
