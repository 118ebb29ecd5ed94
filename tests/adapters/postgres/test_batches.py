"""Batches of the embedded stream: packing and unpacking do not change any line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.adapters.postgres.batches import MAX_BYTES, MAX_LINES, pack, split, unpack
from vigie.encoding import clean
from vigie.records import Message

_text = st.text(st.characters(exclude_categories=()), max_size=20)
_messages = st.builds(Message, st.binary(max_size=200), st.dictionaries(_text, _text, max_size=3))


@given(st.lists(_messages, max_size=30))
def test_values_are_unchanged_and_headers_are_cleaned(messages: list[Message]) -> None:
    expected = [(message.value, clean(message.headers)) for message in messages]
    assert unpack(pack(messages)) == expected


@given(st.lists(st.integers(0, 3 * MAX_BYTES // 2), max_size=8))
def test_splitting_keeps_order_and_bounds(sizes: list[int]) -> None:
    messages = [Message(bytes(size)) for size in sizes]
    batches = list(split(messages))
    assert [message for batch in batches for message in batch] == messages
    for batch in batches:
        assert batch
        assert len(batch) == 1 or sum(len(message.value) for message in batch) <= MAX_BYTES


@pytest.mark.parametrize("n", [0, 1, MAX_LINES - 1, MAX_LINES, MAX_LINES + 1, 2 * MAX_LINES])
def test_a_batch_never_has_more_lines_than_the_bound(n: int) -> None:
    sizes = [len(batch) for batch in split([Message(b"x")] * n)]
    assert sum(sizes) == n
    assert all(0 < size <= MAX_LINES for size in sizes)
    assert len(sizes) == -(-n // MAX_LINES)
