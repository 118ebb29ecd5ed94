"""Encoding of values, deterministic ids, and atomic files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.encoding import atomic_path, clean, digest, dumps, write_atomic
from vigie.errors import DataError, DiskFullError

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(codec=None, categories=None))
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(_VALUES)
def test_every_value_is_encoded_as_json_that_every_store_accepts(value: Any) -> None:
    text = dumps(value).decode("utf-8", "strict")
    assert "\\u0000" not in text.replace("\\\\", "")
    assert json.loads(text) == clean(value) or value != value


@given(_VALUES)
def test_cleaning_is_idempotent(value: Any) -> None:
    assert dumps(clean(value)) == dumps(value)


def test_an_integer_beyond_64_bits_is_refused() -> None:
    with pytest.raises(DataError, match="JSON"):
        dumps({"n": 2**70})


@given(st.lists(st.binary(), max_size=4), st.lists(st.binary(), max_size=4))
def test_ids_are_equal_only_for_equal_parts(left: list[bytes], right: list[bytes]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, "old")
    write_atomic(path, b"new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_failure_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "state.json", "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_raises_disk_full(tmp_path: Path, code: int) -> None:
    path = write_atomic(tmp_path / "table", "old")
    with pytest.raises(DiskFullError, match=rf"{errno.errorcode[code]} .*table"), atomic_path(path):
        raise OSError(code, os.strerror(code))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_other_disk_errors_are_not_reported_as_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "table"):
        raise PermissionError(errno.EACCES, "no")
