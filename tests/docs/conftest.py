"""Fixtures that parse the Markdown pages: their commands and links."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SHELL = frozenset({"sh", "bash", "console"})


@dataclass(frozen=True, slots=True)
class Page:
    """A Markdown file of the project."""

    path: Path
    text: str

    def shell_lines(self) -> Iterator[list[str]]:
        """Yield the words of each command of the shell blocks."""
        for _, language, body in FENCE.findall(self.text):
            if language not in SHELL:
                continue
            for line in textwrap.dedent(body).replace("\\\n", " ").splitlines():
                if language == "console" and not line.startswith("$ "):
                    continue
                if words := shlex.split(line.removeprefix("$ "), comments=True):
                    yield [words[0].removeprefix(".venv/bin/"), *words[1:]]

    def mentions(self) -> Iterator[list[str]]:
        """Yield the words of each ``vigie …`` and ``make …`` in code spans and blocks."""
        prose = FENCE.sub("", self.text)
        codes = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
        codes += [
            line.strip() for _, _, body in FENCE.findall(self.text) for line in body.splitlines()
        ]
        for code in codes:
            words = code.removeprefix("$ ").removeprefix(".venv/bin/").split()
            if words and words[0] in {"vigie", "make"}:
                yield words

    def links(self) -> Iterator[str]:
        """Yield the relative targets of links and images."""
        prose = FENCE.sub("", self.text)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if not re.match(r"[a-z]+:", target):
                yield target


@pytest.fixture(scope="session")
def pages(project_root: Path) -> list[Page]:
    """Return the pages in the root and in docs/."""
    paths = [*project_root.glob("*.md"), *sorted((project_root / "docs").rglob("*.md"))]
    return [Page(path, path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="session")
def guides(pages: list[Page]) -> list[Page]:
    """Return the pages with instructions: all except the changelog and the decisions."""
    return [
        page for page in pages if page.path.parent.name != "adr" and page.path.stem != "CHANGELOG"
    ]


@pytest.fixture(scope="session")
def make_targets(project_root: Path) -> set[str]:
    """Return the targets of the Makefile."""
    text = (project_root / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


@pytest.fixture(scope="session")
def vigie_command() -> Any:
    """Return the root command."""
    import typer

    from vigie.cli.main import app

    return typer.main.get_command(app)
