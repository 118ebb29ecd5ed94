"""Draw docstrings, messages and documentation pages at random, for a review of their English.

``python scripts/sample_prose.py SEED`` prints 30 docstrings, 15 messages and the names of 5 pages.
The same seed on the same commit draws the same sample.
"""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGGING = {"debug", "info", "warning", "error", "exception"}
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(path: Path, tree: ast.Module) -> Iterator[str]:
    """Yield each docstring of a module with its place."""
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, DEFINITIONS) else None
        if text:
            name = getattr(node, "name", "module")
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {name}\n{text}"


def messages(path: Path, tree: ast.Module) -> Iterator[str]:
    """Yield the text of each raised error, log call and help text of a module with its place."""
    for node in ast.walk(tree):
        texts = [literal(argument) for argument in _message_arguments(node)]
        for text in texts:
            if len(text.split()) >= 3:
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} {text}"


def _message_arguments(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc.args[:1]
    if isinstance(node, ast.keyword) and node.arg in {"help", "description"}:
        return [node.value]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        is_log = isinstance(node.func.value, ast.Name) and node.func.value.id == "log"
        return node.args[:1] if is_log and node.func.attr in LOGGING else []
    return []


def literal(node: ast.expr) -> str:
    """Return a string literal's text, with the expressions of an f-string in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + _source(part) + "}"
            for part in node.values
        )
    return ""


def _source(part: ast.expr) -> str:
    return ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""


def main(seed: int) -> int:
    """Print one sample."""
    paths = sorted((ROOT / "plugins" / "vigie").rglob("*.py"))
    trees = [(path, ast.parse(path.read_text("utf-8"))) for path in paths]
    draw = random.Random(seed)
    for title, find, n in (("Docstrings", docstrings, 30), ("Messages", messages, 15)):
        sys.stdout.write(f"# {title}\n\n")
        for text in draw.sample([text for item in trees for text in find(*item)], n):
            sys.stdout.write(f"{text}\n\n")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    sys.stdout.write("# Pages\n\n")
    for path in draw.sample(sorted(pages), 5):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
