"""A bounded cache of two generations: as fast as a dict, and never larger than twice its
capacity."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class GenerationCache(Generic[K, V]):
    """Keep what was used lately: a full young generation becomes the old one, and the old one is
    dropped.

    An entry found in the old generation is moved to the young one, so what repeats survives and a
    stream of things seen once costs memory for at most ``2 * capacity`` entries.

    Parameters
    ----------
    capacity
        Entries of one generation, at least 1.

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
        """Return the value kept for ``key``, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value (never None) for ``key``."""
        if len(self._young) >= self.capacity and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
