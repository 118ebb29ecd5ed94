"""What an index is made of in Elasticsearch: strict explicit mappings from an IndexSpec; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vigie.errors import DataError
from vigie.records import IndexSpec

#: Our own field: sorts documents of one millisecond by microsecond and id (``_id`` itself cannot
#: be sorted by). It is kept for sorting only, never part of a document.
ORDER = "vigie_order"
#: 8191 characters of 4 bytes fit Lucene's longest term (32 766 bytes).
_IGNORE_ABOVE = 8191
#: How soon others (Kibana) see new documents; our own readers refresh themselves.
_REFRESH_INTERVAL = "5s"
_PRIORITY = 600  # above what a cluster ships with
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def checked_name(index: str) -> str:
    """Return the name of one index; refuse wildcards, lists and what Elasticsearch refuses.

    Raises
    ------
    DataError
        For anything else than one plain name.
    """
    if not _NAME.fullmatch(index):
        raise DataError(
            f"{index!r} is not the name of one index: use a-z, 0-9, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return index


def mapping_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the mapping: strict on top, so that a stray key never adds a field."""
    return {
        "dynamic": "strict",
        "_source": {"excludes": [ORDER]},
        "properties": properties_of(fields),
    }


def properties_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields as Elasticsearch writes them, with ours for the order.

    Examples
    --------
    >>> properties_of({"level": "keyword"})["level"]
    {'type': 'keyword', 'ignore_above': 8191}
    """
    own = {"type": "keyword", "index": False}
    return {name: _property(kind) for name, kind in fields.items()} | {ORDER: own}


def _property(kind: str) -> dict[str, Any]:
    if kind in ("keyword", "flattened"):
        return {"type": kind, "ignore_above": _IGNORE_ABOVE}
    return {"type": kind}


def template_of(spec: IndexSpec, replicas: int | None) -> dict[str, Any]:
    """Return the index template of one index.

    Its mapping rules however the index comes about; and it forbids that a mere write brings it
    about (after somebody dropped it), with a guessed mapping.

    Parameters
    ----------
    spec
        Its name and fields.
    replicas
        Copies of each shard; None: one as soon as there is a second node.
    """
    copies: dict[str, Any] = (
        {"auto_expand_replicas": "0-1"} if replicas is None else {"number_of_replicas": replicas}
    )
    settings = {"number_of_shards": 1, "refresh_interval": _REFRESH_INTERVAL, **copies}
    return {
        "index_patterns": [spec.name],
        "priority": _PRIORITY,
        "allow_auto_create": False,
        "template": {"settings": {"index": settings}, "mappings": mapping_of(spec.fields)},
        "_meta": {"made_by": "vigie"},
    }


def fields_of(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Return field → type of a mapping, without our own."""
    properties = mapping.get("properties", {})
    return {
        name: str(about.get("type", "object"))
        for name, about in properties.items()
        if name != ORDER
    }


def is_complete(mapping: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Return whether an index is strict and has all our fields."""
    properties = mapping.get("properties", {})
    wanted = {*fields, ORDER}
    return mapping.get("dynamic") == "strict" and wanted <= properties.keys()
