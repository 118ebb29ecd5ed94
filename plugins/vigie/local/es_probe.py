"""The question of ``vigie check`` to Elasticsearch, without its client library (it loads 1.2 s)."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from vigie.addresses import checked_url
from vigie.errors import SettingsError, TransientError
from vigie.local.probes import check_header, part_of
from vigie.settings import ElasticsearchSettings

#: Of each of two questions: both together stay below the check's five seconds.
_TIMEOUT_S = 2


def elasticsearch(settings: ElasticsearchSettings) -> str:
    """Tell version, cluster and its state; ``GET /`` is not asked, a bare node lacks it.

    Raises
    ------
    TransientError
        It does not answer, or its state is red: some documents cannot be read.
    SettingsError
        The address, the login or the certificate is wrong, or somebody else answers there.
    """
    url = settings.url
    with _client(settings, url) as client:
        health = _get(client, url, "/_cluster/health")
        cluster, state = part_of(health, "cluster_name"), part_of(health, "status")
        if not isinstance(cluster, str) or not isinstance(state, str):
            raise _stranger(url)
        told = f"cluster {cluster}, {state}"
        if state == "red":
            raise TransientError(f"Elasticsearch at {url}: {told}: a primary shard is missing")
        nodes = part_of(_get(client, url, "/_nodes?filter_path=nodes.*.version"), "nodes")
    if not isinstance(nodes, dict):
        raise _stranger(url)
    versions = sorted({str(part_of(node, "version")) for node in nodes.values()})
    return f"Elasticsearch {', '.join(versions)} ({told}, nodes: {len(nodes)})"


def _stranger(url: str) -> SettingsError:
    return SettingsError(f"what answers at {url} is not Elasticsearch")


def _client(settings: ElasticsearchSettings, url: str) -> httpx.Client:
    password = settings.password.get_secret_value() if settings.password else ""
    auth = (settings.user, password) if settings.user else None
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    check_header("ELASTICSEARCH_API_KEY", key)
    headers = {"Authorization": f"ApiKey {key}"} if key else {}
    verify: ssl.SSLContext | bool = settings.verify_certs
    if verify and settings.ca_certs and url.startswith("https:"):
        try:
            verify = ssl.create_default_context(cafile=settings.ca_certs)
        except OSError as exc:
            raise SettingsError(f"ELASTICSEARCH_CA_CERTS ({settings.ca_certs}): {exc}") from exc
    return httpx.Client(
        base_url=checked_url(url, "ELASTICSEARCH_HOST"),
        trust_env=False,
        timeout=_TIMEOUT_S,
        auth=auth,
        headers=headers,
        verify=verify,
    )


def _get(client: httpx.Client, url: str, path: str) -> Any:
    try:
        answer = client.get(path)
    except httpx.HTTPError as exc:
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            raise SettingsError(
                f"the certificate of {url} was not accepted; set ELASTICSEARCH_CA_CERTS"
            ) from exc
        raise TransientError(f"{url} did not answer ({type(exc).__name__})") from exc
    if answer.status_code in (401, 403):
        raise SettingsError(
            f"{url} refused the login ({answer.status_code}): check ELASTICSEARCH_USER, "
            "ELASTICSEARCH_PASSWORD or ELASTICSEARCH_API_KEY"
        )
    if answer.status_code != httpx.codes.OK:
        raise TransientError(f"{url} answered {answer.status_code}")
    try:
        return answer.json()
    except ValueError as exc:
        raise _stranger(url) from exc
