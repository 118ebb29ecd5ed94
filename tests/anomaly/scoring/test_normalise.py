"""Templates of log lines; the cache does not change the templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vigie.anomaly.scoring.cache import GenerationCache
from vigie.anomaly.scoring.normalise import CACHED_BYTES, MASKS, MAX_BYTES, SHAPE, Normaliser, mask

PIECES = (
    b"0x1f", b"5x1f", b"0X", b"deadbeef01", b"12345678", b"2026-11-21T10:00:00.123Z", b"10.0.0.1",
    b"10.250.19.102:54106", b"550e8400-e29b-41d4-a716-446655440000", b"[4711]", b"-12.5", b" ",
    b"blk_-160", b"Nov 21 10:00:00", b"a", b"f00", b"\xff", "é٣".encode(), b"\x00", b"<0>", b":",
)  # fmt: skip
log_like = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
)


@pytest.mark.parametrize(
    ("line", "template"),
    [
        (b"2026-11-21T10:00:00.123Z started", "<TIME> started"),
        (b"2026-11-21 10:00:00,123 +0100 started", "<TIME> started"),
        (b"[2026-11-21T10:00:00.1+00:00] {x.py:12} INFO", "[<TIME>] {x.py:<NUM>} INFO"),
        (b"Nov  1 10:00:00 host sshd[4711]: up", "<TIME> host sshd[<PID>]: up"),
        (b"at 10:00:00.5 sharp", "at <TIME> sharp"),
        (b"id 550e8400-e29b-41d4-a716-446655440000", "id <UUID>"),
        (b"from /10.250.19.102:54106 on", "from /<IP> on"),
        (b"at 0x7FFE and deadbeef01 and decade", "at <HEX> and <HEX> and decade"),
        (b"blk_-1608999687919862906 of 12345678", "blk_<NUM> of <NUM>"),
        (b"took 12.5 ms, 3 of 1,000", "took <NUM> ms, <NUM> of <NUM>"),
        (b"\x1b[31mred\x1b[0m  \t text\r", "red text"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        (b"  ", ""),
    ],
)
def test_variable_parts_become_masks(line: bytes, template: str) -> None:
    assert mask(line) == template


def test_no_mask_contains_a_literal_digit() -> None:
    """A literal digit would give lines of the same digit shape different templates."""
    import re

    for pattern, token in MASKS:
        bare = re.sub(rb"\{\d+(?:,\d*)?\}|\\x[0-9a-f]{2}", b"", pattern.pattern)
        assert not re.search(rb"\d", bare), pattern.pattern
        assert not re.search(rb"\d", token)


@given(log_like)
@example(b"5x1f")
@example(b"0x1f")
def test_a_line_and_its_digit_shape_have_the_same_template(line: bytes) -> None:
    assert mask(line) == mask(line.translate(SHAPE))


@given(st.lists(log_like, max_size=30))
def test_the_cache_changes_nothing(lines: list[bytes]) -> None:
    assert Normaliser(capacity=3).templates(lines * 2) == [mask(line) for line in lines] * 2


def test_only_the_start_of_a_huge_line_is_used() -> None:
    assert len(mask(b"x" * (MAX_BYTES * 3))) == MAX_BYTES


def test_hits_and_misses_are_counted() -> None:
    normaliser = Normaliser()
    normaliser.templates([b"a 1", b"a 2", b"b 1", b"a 3"])
    assert (normaliser.n_hits, normaliser.n_misses) == (2, 2)


def test_long_lines_are_not_cached() -> None:
    normaliser = Normaliser()
    normaliser.templates([b"x" * (CACHED_BYTES + 1)] * 2)
    assert normaliser.n_hits == 0


def test_a_cache_never_holds_more_than_two_generations() -> None:
    cache = GenerationCache[int, int](10)
    for number in range(1000):
        cache.put(number, number)
        assert len(cache) <= 20


def test_entries_in_use_survive_many_entries_used_once() -> None:
    cache = GenerationCache[int, str](10)
    cache.put(-1, "kept")
    for number in range(1000):
        cache.put(number, "new")
        assert cache.get(-1) == "kept"


def test_the_cache_is_exact_on_real_logs(shared_data: Path) -> None:
    for path in sorted((shared_data / "loghub_2k").glob("*.log")):
        lines = path.read_bytes().splitlines()
        assert Normaliser().templates(lines) == [mask(line) for line in lines], path.name


def test_hdfs_has_few_templates(shared_data: Path) -> None:
    lines = (shared_data / "hdfs" / "HDFS_AD_5k.log").read_bytes().splitlines()
    assert len(set(Normaliser().templates(lines))) < 40
