"""docs/serving.md matches the code."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from vigie.serving.page import MAX_LINES
from vigie.serving.strict_json import LIMIT_BYTES, READ_TIMEOUT_S


def test_every_route_is_in_the_guide(client: TestClient, project_root: Path) -> None:
    guide = (project_root / "docs" / "serving.md").read_text(encoding="utf-8")
    paths = client.get("/openapi.json").json()["paths"]
    assert [path for path in paths if path not in guide] == []


def test_the_guide_has_the_limits_of_the_code(project_root: Path) -> None:
    guide = (project_root / "docs" / "serving.md").read_text(encoding="utf-8")
    assert f"{LIMIT_BYTES // 1024} KiB" in guide
    assert f"{READ_TIMEOUT_S:g} s" in guide
    assert f"at most {MAX_LINES} lines" in guide
