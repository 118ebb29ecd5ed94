"""``vigie init``: ports, passwords and keys are chosen once and kept."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path

import pytest
import sqlalchemy as sa

from vigie.errors import SettingsError
from vigie.local.ports import DEFAULT_PORTS, free_block, holder, is_free
from vigie.local.state import make_platform, platform_file, read_platform
from vigie.settings import Settings


def test_ports_and_secrets_are_kept(tmp_path: Path) -> None:
    first, was_new = make_platform(tmp_path)
    second, is_new = make_platform(tmp_path)
    assert (was_new, is_new) == (True, False)
    assert first == second == read_platform(tmp_path)


def test_before_init_there_is_no_platform(tmp_path: Path) -> None:
    assert read_platform(tmp_path) is None


def test_the_file_and_its_folder_are_private(tmp_path: Path) -> None:
    make_platform(tmp_path)
    path = platform_file(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_platforms_share_no_secret(tmp_path: Path) -> None:
    one, _ = make_platform(tmp_path / "one")
    two, _ = make_platform(tmp_path / "two")
    assert not set(one.secrets.values()) & set(two.secrets.values())
    assert len(set(one.secrets.values())) == len(one.secrets)


def test_a_secret_is_not_in_the_repr(tmp_path: Path) -> None:
    platform, _ = make_platform(tmp_path)
    assert not any(secret in repr(platform) for secret in platform.secrets.values())


def test_the_fernet_key_is_valid(tmp_path: Path) -> None:
    platform, _ = make_platform(tmp_path)
    assert len(base64.urlsafe_b64decode(platform.secrets["airflow_fernet_key"])) == 32


def test_settings_read_the_platform_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    platform, _ = make_platform(tmp_path)
    settings = Settings.from_env()
    assert settings.mlflow.tracking_uri == platform.url("mlflow")
    assert settings.serving.port == platform.ports["serving"]
    assert settings.source("VIGIE_DATABASE_URL") == "platform.toml"


def test_each_database_url_uses_its_own_role(tmp_path: Path) -> None:
    platform, _ = make_platform(tmp_path)
    url = sa.make_url(platform.environment["VIGIE_DATABASE_URL"])
    assert (url.username, url.database) == ("vigie", "vigie")
    assert url.password == platform.secrets["vigie_database_password"]
    assert url.query["host"] == str(platform.postgres.sockets)


def test_a_moved_checkout_keeps_its_secrets_and_gets_new_urls(tmp_path: Path) -> None:
    old, _ = make_platform(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    new, is_new = make_platform(tmp_path / "new")
    assert not is_new
    assert new.secrets == old.secrets
    assert str(new.postgres.sockets) in platform_file(tmp_path / "new").read_text()


def test_a_broken_file_is_refused_and_kept(tmp_path: Path) -> None:
    make_platform(tmp_path)
    path = platform_file(tmp_path)
    path.write_text("[ports\n")
    for read in (read_platform, make_platform):
        with pytest.raises(SettingsError, match="cannot be read"):
            read(tmp_path)
    assert path.read_text() == "[ports\n"


def test_an_older_file_is_completed(tmp_path: Path) -> None:
    platform, _ = make_platform(tmp_path)
    path = platform_file(tmp_path)
    path.write_text(path.read_text().replace("airflow_jwt_secret", "something_else"))
    with pytest.raises(SettingsError, match="lacks airflow_jwt_secret; run: vigie init"):
        read_platform(tmp_path)
    completed, is_new = make_platform(tmp_path)
    assert not is_new
    assert completed.secrets["airflow_jwt_secret"] != platform.secrets["airflow_jwt_secret"]
    assert completed.secrets["airflow_fernet_key"] == platform.secrets["airflow_fernet_key"]


def test_a_port_that_is_not_a_number_is_replaced(tmp_path: Path) -> None:
    platform, _ = make_platform(tmp_path)
    text = platform.file.read_text().replace(f"mlflow = {platform.ports['mlflow']}", "mlflow = 'x'")
    platform.file.write_text(text)
    with pytest.raises(SettingsError, match="lacks mlflow; run: vigie init"):
        read_platform(tmp_path)
    make_platform(tmp_path)
    repaired = read_platform(tmp_path)
    assert repaired is not None
    assert isinstance(repaired.ports["mlflow"], int)


def test_new_ports_are_another_free_block(tmp_path: Path) -> None:
    before, _ = make_platform(tmp_path)
    after, _ = make_platform(tmp_path, new_ports=True)
    assert not set(before.ports.values()) & set(after.ports.values())
    assert after.secrets == before.secrets
    shifts = {after.ports[name] - port for name, port in DEFAULT_PORTS.items()}
    assert len(shifts) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_block_with_a_used_port_is_skipped(address: str) -> None:
    block = free_block()
    with socket.socket() as taken:
        taken.bind((address, block["mlflow"]))
        taken.listen()
        assert not is_free(block["mlflow"])
        assert not set(free_block().values()) & set(block.values())


def test_the_process_on_a_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert f"process {os.getpid()} (" in holder(taken.getsockname()[1])
