"""Bundles: the contract, and the state after a crash, a full disk or a flipped byte."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vigie.adapters.bundles.directory import BundleDirectory
from vigie.errors import DataError, DiskFullError, SettingsError
from vigie.testing.contracts.bundles import CHECKS, DEPLOYMENT, FILES, INFO


@pytest.fixture
def store(tmp_path: Path) -> BundleDirectory:
    return BundleDirectory(tmp_path / "arte facts")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Callable[[BundleDirectory], None], store: BundleDirectory) -> None:
    check(store)


def folder(store: BundleDirectory) -> Path:
    return store.publish("fraud", 1, FILES, INFO)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_flipped_byte_is_detected_at_any_position(store: BundleDirectory, name: str) -> None:
    path = folder(store) / name
    original = path.read_bytes()
    for percent in range(100 if original else 0):
        changed = bytearray(original)
        changed[len(original) * percent // 100] ^= 1 << (percent % 8)
        path.write_bytes(changed)
        with pytest.raises(DataError, match=f"{name}: altered"):
            store.open("fraud", 1)
    path.write_bytes(original)
    assert store.open("fraud", 1).files == FILES


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(store: BundleDirectory, name: str) -> None:
    (folder(store) / name).unlink()

    with pytest.raises(DataError, match=f"{name}: missing"):
        store.open("fraud", 1)


def test_an_extra_file_is_named(store: BundleDirectory) -> None:
    (folder(store) / "more.py").write_text("import os")

    with pytest.raises(DataError, match=r"more\.py: extra"):
        store.open("fraud", 1)


def test_a_truncated_file_is_named(store: BundleDirectory) -> None:
    path = folder(store) / "model.skops"
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(DataError, match=r"model\.skops: altered: 100 bytes"):
        store.open("fraud", 1)


def test_a_renamed_folder_is_refused(
    store: BundleDirectory,
) -> None:
    folder(store).rename(store.root / "fraud" / "v2")

    with pytest.raises(DataError, match="belongs to fraud v1, not fraud v2"):
        store.open("fraud", 2)


def test_publishing_over_a_damaged_version_is_refused(store: BundleDirectory) -> None:
    (folder(store) / "model.skops").write_bytes(b"")

    with pytest.raises(DataError, match=r"model\.skops: altered"):
        store.publish("fraud", 1, FILES, INFO)


def test_a_damaged_champion_copy_is_refused_and_replaced_by_the_next_one(
    store: BundleDirectory,
) -> None:
    store.write_champion(DEPLOYMENT)
    (store.root / "fraud" / "champion.json").write_bytes(b'{"number": 9')

    with pytest.raises(DataError, match=r"champion\.json: invalid copy of a deployment"):
        store.read_champion("fraud")
    store.write_champion(DEPLOYMENT)
    assert store.read_champion("fraud") == DEPLOYMENT


PUBLISH = """
import sys; from pathlib import Path; from vigie.adapters.bundles.directory import BundleDirectory
BundleDirectory(Path(sys.argv[1])).publish("fraud", 2, {"model.skops": b"x" * 100_000}, {})
"""


def test_an_unreadable_copy_of_a_deployment_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "fraud" / "champion.json").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot read .*champion\.json"):
        BundleDirectory(tmp_path).read_champion("fraud")


def publish_elsewhere(root: Path, **environment: str) -> int:
    command = [sys.executable, "-Ic", PUBLISH, str(root)]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def leftovers(root: Path) -> list[str]:
    return [p.name for p in (root / "fraud").iterdir() if ".tmp" in p.name]


def test_after_a_kill_before_the_rename_a_rerun_publishes(
    store: BundleDirectory,
) -> None:
    folder(store)

    assert publish_elsewhere(store.root, VIGIE_CRASH_AT="before_publish_rename") == -9

    assert store.versions("fraud") == [1]
    assert store.open("fraud", 1).files == FILES
    assert len(leftovers(store.root)) == 1
    assert publish_elsewhere(store.root) == 0
    assert store.versions("fraud") == [1, 2]


def test_after_a_kill_after_the_rename_the_version_is_complete(
    store: BundleDirectory,
) -> None:
    assert publish_elsewhere(store.root, VIGIE_CRASH_AT="after_publish_rename") == -9

    before = store.open("fraud", 2)
    assert publish_elsewhere(store.root) == 0
    assert store.open("fraud", 2) == before


def test_leftovers_older_than_an_hour_are_removed(
    store: BundleDirectory,
) -> None:
    folder(store)
    publish_elsewhere(store.root, VIGIE_CRASH_AT="before_publish_rename")
    publish_elsewhere(store.root, VIGIE_CRASH_AT="before_publish_rename")
    old, young = sorted((store.root / "fraud").glob(".*.tmp"))
    os.utime(old, (time.time() - 3700,) * 2)

    store.publish("fraud", 3, FILES, INFO)

    assert leftovers(store.root) == [young.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 4 MiB with room for 9 files and folders."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    options = "size=4m,nr_inodes=9"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)]
    if (
        not sys.platform.startswith("linux")
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system needs Linux and root")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def test_a_bundle_larger_than_the_disk_is_refused_before_writing(small_disk: Path) -> None:
    store = BundleDirectory(small_disk)
    store.publish("fraud", 1, FILES, INFO)

    with pytest.raises(DiskFullError, match=r"ENOSPC .*v2: need 5000\d\d\d bytes .* free \d+"):
        store.publish("fraud", 2, {"model.skops": bytes(5_000_000)}, INFO)

    assert leftovers(small_disk) == []
    assert store.open("fraud", 1).files == FILES


def test_a_disk_that_fills_up_keeps_the_published_versions(small_disk: Path) -> None:
    store = BundleDirectory(small_disk)
    store.publish("fraud", 1, FILES, INFO)  # uses three of nine files and folders

    with pytest.raises(DiskFullError, match="ENOSPC"):
        store.publish("fraud", 2, {f"part-{i}": b"x" for i in range(5)}, INFO)

    assert leftovers(small_disk) == []
    assert store.versions("fraud") == [1]
    assert store.open("fraud", 1).files == FILES


def test_a_file_size_limit_is_a_settings_error(store: BundleDirectory) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(SettingsError, match=r"cannot write .*v2: File too large"):
            store.publish("fraud", 2, {"model.skops": bytes(100_000)}, INFO)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert leftovers(store.root) == []
    assert store.versions("fraud") == [1]


def test_a_root_that_is_a_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")

    with pytest.raises(SettingsError, match="check ARTIFACTS_DIR"):
        BundleDirectory(tmp_path / "artifacts").publish("fraud", 1, FILES, INFO)
