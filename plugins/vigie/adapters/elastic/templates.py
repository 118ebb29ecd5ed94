"""Build index templates and strict mappings for Elasticsearch from an IndexSpec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vigie.errors import DataError
from vigie.records import IndexSpec

#: A field that sorts documents of the same millisecond by microsecond and id, because
#: Elasticsearch cannot sort by ``_id``. No document that vigie returns contains it.
ORDER = "vigie_order"
#: The longest term in Lucene has 32,766 bytes: 8191 characters of 4 bytes.
_IGNORE_ABOVE = 8191
#: Delay until other clients, such as Kibana, see new documents; vigie refreshes before reading.
_REFRESH_INTERVAL = "5s"
_PRIORITY = 600  # higher than the priority of built-in templates
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def checked_name(index: str) -> str:
    """Return ``index`` if it is the name of one index.

    Raises
    ------
    DataError
        The name has a wrong length or contains a character that is not allowed.
    """
    if not _NAME.fullmatch(index):
        raise DataError(
            f"{index!r} is not the name of one index: use 1 to 200 characters from a-z, 0-9, "
            "'.', '_' and '-', beginning with a letter or digit"
        )
    return index


def mapping_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a strict mapping, to which documents cannot add top-level fields."""
    return {
        "dynamic": "strict",
        "_source": {"excludes": [ORDER]},
        "properties": properties_of(fields),
    }


def properties_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties of a mapping, including the sort field.

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

    An index that any client creates gets this mapping. The template also prevents a write from
    recreating a deleted index with a guessed mapping. ``replicas`` is the number of replicas per
    shard; None: one if the cluster has a second node, otherwise none.
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
    """Return the type of each field in a mapping, without the sort field."""
    properties = mapping.get("properties", {})
    return {
        name: str(about.get("type", "object"))
        for name, about in properties.items()
        if name != ORDER
    }


def is_complete(mapping: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Return whether a mapping is strict and contains all fields and the sort field."""
    properties = mapping.get("properties", {})
    wanted = {*fields, ORDER}
    return mapping.get("dynamic") == "strict" and wanted <= properties.keys()
