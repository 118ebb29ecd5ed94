"""Print docs/commands.md: every command with its options, from the commands' own help.

``make docs`` writes the page; ``tests/docs/test_commands_page.py`` compares it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from vigie.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
GUIDES = {
    **dict.fromkeys(("init", "up", "status", "down", "check", "backup", "airflow"), "platform"),
    **dict.fromkeys(("serve", "simulate"), "serving"),
    **dict.fromkeys(("retrain", "promote", "rollback", "why"), "retraining"),
    "logs": "logs",
    "stream": "anomaly",
    "anomaly": "anomaly",
    "drift": "reports",
    "models": "models",
}
KINDS = {
    "<int range>": "N", "<int>": "N", "<float range>": "X", "<float>": "X", "<str>": "TEXT",
    "<path>": "PATH", "<Path>": "PATH", "<list[str]>": "TEXT", "<list[Path]>": "PATH",
    " <bool>": "",
}  # fmt: skip
HEAD = """\
# Commands

Written by `make docs` from the commands' own help; do not edit it here. `vigie` stands for
`.venv/bin/vigie`; after `. .venv/bin/activate` it is just `vigie`. Every command has `--help`.

## Exit codes

| code | meaning | what to do |
|---|---|---|
| 0 | done; or there was nothing to do, and the command says so | |
| 1 | a mistake in vigie itself (it shows a traceback) | report it |
| 2 | wrong usage, input or settings; `vigie demo` saw a claim fail | mend it: a retry fails too |
| 3 | a service that is needed did not answer, or the disk is full | try again later: it is safe |
| 4 | somebody else was faster, or the gate refused `vigie promote` | see `vigie why`, then decide |
| 130 | Ctrl-C | |

A gate's *no* inside `vigie retrain` is a result, not an error: exit code 0. `vigie airflow` ends
with Airflow's own code. `make` ends with 2 whenever a command fails, whatever the command's code.
"""


def main() -> None:
    """Write the page to standard output."""
    targets = make_targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    root = typer.main.get_command(app)
    sections = [section(path, command, targets) for path, command in leaves(root, ())]
    sys.stdout.write("\n".join([HEAD, *sections]))


def leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that can be run, with its words."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
    for name, subcommand in (subcommands or {}).items():
        yield from leaves(subcommand, (*path, name))


def make_targets(makefile: str) -> dict[str, list[str]]:
    """Return the make targets of each command: ``{"logs once": ["pipeline-once"]}``."""
    targets: dict[str, list[str]] = {}
    for target, command in re.findall(
        r"^([a-z-]+):.*\n\t@\$\(VIGIE\) ([a-z -]+[a-z])", makefile, re.MULTILINE
    ):
        targets.setdefault(command, []).append(target)
    return targets


def section(path: tuple[str, ...], command: Any, targets: dict[str, list[str]]) -> str:
    """Return one command's part of the page."""
    context = command.make_context(path[-1], [], resilient_parsing=True)
    arguments = [
        f"[{p.name.upper()}]{'…' * (p.nargs != 1)}" if not p.required else p.name.upper()
        for p in command.params
        if p.param_type_name == "argument"
    ]
    notes = [f"Guide: [{guide}]({guide}.md)." for guide in (GUIDES.get(path[0]),) if guide]
    if also := targets.get(" ".join(path)):
        notes.append(f"Also {', '.join(f'`make {target}`' for target in also)}.")
    words = "…" if path == ("airflow",) else " ".join(arguments)
    return "\n".join(
        (
            f"## `{' '.join(('vigie', *path, words)).strip()}`\n",
            " ".join((command.help or "").split()),
            *((" ".join(notes),) if notes else ()),
            "",
            *table(command, context),
        )
    )


def table(command: Any, context: Any) -> Iterator[str]:
    """Yield the lines of the table of options."""
    records = [p.get_help_record(context) for p in command.params]
    if any(records):
        yield "| option | |"
        yield "|---|---|"
        yield from (f"| `{kind(name)}` | {cell(text)} |" for name, text in filter(None, records))
        yield ""


def kind(option: str) -> str:
    """Say what an option takes in capitals."""
    for found, short in KINDS.items():
        option = option.replace(found, short)
    return option


def cell(text: str) -> str:
    """Return text that a table's cell can hold."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


main()
