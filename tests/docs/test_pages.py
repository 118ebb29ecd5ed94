"""Every command, make target, link and variable that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

FOREIGN = {"curl", ".", "cp", "git", "cd", "python", "export", "source"}
FOREIGN |= {"docker", "psql", "for", "done"}


def leaf(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """Resolve the words of command groups; return the command and the remaining words.

    Raises
    ------
    LookupError
        If a word is not a command.
    """
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            raise LookupError(f"no command {' '.join(words[:1])!r} in {command.name!r}")
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options(command: Any) -> set[str]:
    named = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return {name for name in named if name.startswith("-")} | {"--help"}


def test_every_command_of_a_shell_block_is_valid(
    guides: list[Any], vigie_command: Any, make_targets: set[str]
) -> None:
    wrong: list[str] = []
    for page in guides:
        for program, *words in page.shell_lines():
            try:
                if program == "make":
                    unknown = {w for w in words if "=" not in w} - make_targets
                    wrong += [f"{page.path.name}: make {word}" for word in sorted(unknown)]
                elif program == "vigie":
                    command, rest = leaf(vigie_command, words)
                    command.make_context(command.name, rest)
                elif program not in FOREIGN:
                    wrong.append(f"{page.path.name}: {program}?")
            except Exception as error:  # noqa: BLE001 - typer's own error is private; name the line
                wrong.append(f"{page.path.name}: vigie {' '.join(words)}: {error}")
    assert wrong == []


def test_every_command_that_is_mentioned_exists_with_its_options(
    pages: list[Any], vigie_command: Any, make_targets: set[str]
) -> None:
    wrong: list[str] = []
    for page in pages:
        for program, *words in page.mentions():
            if program == "make":
                if words and words[0] not in make_targets and re.fullmatch(r"[a-z-]+", words[0]):
                    wrong.append(f"{page.path.name}: make {words[0]}")
                continue
            if not words or not re.fullmatch(r"[a-z-]+", words[0]) or words[0].startswith("--"):
                continue
            wrong += problems(f"{page.path.name}: vigie {' '.join(words)}", vigie_command, words)
    assert wrong == []


def problems(where: str, root: Any, words: list[str]) -> list[str]:
    command, rest = root, words
    while hasattr(command, "commands") and rest and re.fullmatch(r"[a-z-]+", rest[0]):
        if rest[0] not in command.commands:
            return [f"{where}: no command {rest[0]!r}"]
        command, rest = command.commands[rest[0]], rest[1:]
    if command.name == "airflow" or hasattr(command, "commands"):
        return []
    flags = {word.strip("[],.;:") for word in rest if word.strip("[(").startswith("--")}
    return [f"{where}: no option {flag}" for flag in sorted(flags - options(command))]


def test_every_relative_link_and_image_exists(pages: list[Any]) -> None:
    broken = []
    for page in pages:
        for target in page.links():
            name, _, anchor = target.partition("#")
            path = (page.path.parent / name).resolve() if name else page.path
            if not path.exists():
                broken.append(f"{page.path.name}: {target}")
            elif anchor and anchor not in anchors(path):
                broken.append(f"{page.path.name}: {target} (no such heading)")
    assert broken == []


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


def test_every_guide_and_every_decision_is_listed_in_its_index(project_root: Path) -> None:
    docs = project_root / "docs"
    for folder in (docs, docs / "adr"):
        index = (folder / "README.md").read_text(encoding="utf-8")
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert {name for name in pages if f"]({name})" not in index} == set()


@pytest.mark.parametrize("name", ["commands", "architecture"])
def test_a_generated_page_is_up_to_date(name: str, project_root: Path) -> None:
    import subprocess
    import sys

    script = project_root / "scripts" / f"{name}_page.py"
    written = subprocess.run(
        [sys.executable, "-I", str(script)], capture_output=True, text=True, check=True
    )
    page = (project_root / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert page == written.stdout, "run: make docs"


def test_the_architecture_page_names_every_package_and_existing_modules(project_root: Path) -> None:
    package = project_root / "plugins" / "vigie"
    page = (project_root / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert packages == set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) - {"vigie"}
    named = set(re.findall(r"[\w/]+/\w+\.py", page.split("## Modules")[0]))
    assert {name for name in named if not (package / name).exists()} == set()


def test_every_command_and_option_has_a_help_text(vigie_command: Any) -> None:
    undocumented = []
    todo = [("vigie", vigie_command)]
    while todo:
        name, command = todo.pop()
        todo += [(f"{name} {word}", sub) for word, sub in getattr(command, "commands", {}).items()]
        undocumented += [] if command.help else [name]
        undocumented += [f"{name} {p.name}" for p in command.params if not p.help]
    assert undocumented == []


def test_every_make_target_has_a_help_text(project_root: Path, make_targets: set[str]) -> None:
    text = (project_root / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)) == make_targets


def test_the_table_of_settings_has_every_variable_with_its_default(project_root: Path) -> None:
    from vigie.settings import GROUPS, FolderSettings

    page = (project_root / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| \S", page, re.MULTILINE))
    fields = [
        field
        for group in (*GROUPS.values(), FolderSettings)
        for field in group.model_fields.values()
    ]
    assert documented == {str(field.alias): default(field.default) for field in fields}


def default(value: Any) -> str:
    """Format a default as in `.env`."""
    if value is None:
        return "none"
    return (
        f"`{value:g}`"
        if isinstance(value, float)
        else f"`{str(value).lower() if value is True else value}`"
    )


@pytest.mark.parametrize("pattern", [r"(?<![\w/])/(?:work|root|home/\w+)/"])
def test_no_page_names_a_path_of_one_machine(pattern: str, pages: list[Any]) -> None:
    assert [page.path.name for page in pages if re.search(pattern, page.text)] == []
