"""Bounded cache with two generations of entries."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class GenerationCache(Generic[K, V]):
    """Cache the recently used entries in two dictionaries of at most ``capacity`` entries.

    New entries go into the young dictionary. When it is full, it replaces the old one, whose
    entries are dropped. An entry that is read from the old one moves to the young one.

    Examples
    --------
    >>> cache = GenerationCache(2)
    >>> for letter in "abac": cache.put(letter, letter.upper())
    >>> cache.get("b"), cache.get("z"), len(cache)
    ('B', None, 3)
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self.capacity = capacity
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value, which must not be None."""
        if len(self._young) >= self.capacity and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
