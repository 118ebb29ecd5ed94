"""Print size and structure of ``plugins/vigie`` with limits; exit with 1 if one is exceeded.

``tests/test_figures.py`` checks the same figures. Run this script with::

    .venv/bin/python -I scripts/figures.py
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]

MAX_MODULES = 285  # modules other than __init__.py
MAX_LINES = 32_000
MAX_FOLDER = 25  # modules in one folder
MAX_MODULE = 320  # lines
MAX_MEDIAN_MODULE = 120
MAX_BODY = 25  # lines of a function's body, without its docstring
MAX_MEDIAN_BODY = 8

# In these folders a module implements, fakes or exposes a role, so the role's name may repeat.
ROLE_FOLDERS = ("roles", "testing", "testing/contracts")
ENTRY_POINTS = ("cli", "demo", "local", "operators", "serving")
# Each technology translates foreign errors into the tree of `vigie/errors.py`.
REPEATED_ON_PURPOSE = ("errors.py",)

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file of the package, parsed."""

    name: str
    path: Path
    folder: str
    n_lines: int
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, its limit, and the places that exceed the limit."""

    name: str
    value: float
    limit: float
    details: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        return self.value <= self.limit


def read_modules(package: Path) -> list[Module]:
    """Parse every Python file below a package's folder."""
    modules = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        relative = path.relative_to(package)
        words = [package.name, *relative.with_suffix("").parts]
        name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        folder = relative.parent.as_posix()
        modules.append(Module(name, relative, folder, len(text.splitlines()), ast.parse(text)))
    return modules


def import_graph(modules: Iterable[Module]) -> Graph:
    """Return which modules of the package each module imports.

    Imports inside functions and under ``TYPE_CHECKING`` count like all others.
    """
    modules = list(modules)
    names = frozenset(module.name for module in modules)
    return {m.name: frozenset(_imported(m.tree, names)) - {m.name} for m in modules}


def _imported(tree: ast.Module, names: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield from {submodule if submodule in names else node.module} & names


def import_circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components with more than one module (Tarjan's algorithm).

    Examples
    --------
    >>> graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    >>> import_circles(graph)
    [['b', 'c']]
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        path.append(name)
        for target in sorted(graph[name]):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in path:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            component = path[path.index(name) :]
            del path[path.index(name) :]
            circles.extend([sorted(component)] if len(component) > 1 else [])

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return circles


def repeated_names(modules: Iterable[Module]) -> dict[str, list[str]]:
    """Return the file names that repeat although their modules do not serve one role.

    A name may occur in several of `roles/`, `testing/`, `testing/contracts/`, each technology of
    `adapters/` and the entry points. Elsewhere, each file name must be unique.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        if not module.is_package and module.path.name not in REPEATED_ON_PURPOSE:
            folders[module.path.name].append(module.folder)
    return {
        name: found
        for name, found in sorted(folders.items())
        if len(found) > 1 and not all(_holds_roles(folder) for folder in found)
    }


def _holds_roles(folder: str) -> bool:
    words = folder.split("/")
    is_technology = words[0] == "adapters" and len(words) == 2
    return folder in ROLE_FOLDERS or words[0] in ENTRY_POINTS or is_technology


def body_sizes(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the lines of each function's body, without its docstring, and the function's place."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            if body and not _is_stub(body[0]):
                n_lines = (node.end_lineno or 0) - body[0].lineno + 1
                yield n_lines, f"{module.path}:{node.lineno} {node.name}"


def _is_stub(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and getattr(statement.value, "value", 0) is ...


def figures(package: Path) -> list[Figure]:
    """Measure the package in a folder; return every figure with its limit."""
    everything = read_modules(package)
    modules = [module for module in everything if not module.is_package]
    return [*_structure(everything, modules), *_sizes(everything, modules)]


def _structure(everything: list[Module], modules: list[Module]) -> Iterator[Figure]:
    circles = import_circles(import_graph(everything))
    shown = tuple(", ".join(circle) for circle in circles)
    yield Figure("import cycles", len(circles), 0, shown)
    repeated = repeated_names(modules)
    shown = tuple(f"{name}: {', '.join(folders)}" for name, folders in repeated.items())
    yield Figure("file names that repeat", len(repeated), 0, shown)
    folders: dict[str, int] = defaultdict(int)
    for module in modules:
        folders[module.folder] += 1
    large = [(n, folder) for folder, n in folders.items() if n > MAX_FOLDER]
    shown = tuple(f"{folder}: {n}" for n, folder in sorted(large, reverse=True))
    yield Figure("modules in the largest folder", max(folders.values()), MAX_FOLDER, shown)


def _sizes(everything: list[Module], modules: list[Module]) -> Iterator[Figure]:
    lengths = [module.n_lines for module in modules]
    large = tuple(f"{m.path}: {m.n_lines}" for m in modules if m.n_lines > MAX_MODULE)
    bodies = sorted(chain.from_iterable(map(body_sizes, modules)), reverse=True)
    long = tuple(f"{where}: {n}" for n, where in bodies if n > MAX_BODY)
    yield Figure("modules", len(modules), MAX_MODULES)
    yield Figure("lines", sum(module.n_lines for module in everything), MAX_LINES)
    yield Figure("lines of the median module", median(lengths), MAX_MEDIAN_MODULE)
    yield Figure("lines of the largest module", max(lengths), MAX_MODULE, large)
    yield Figure("lines of the median body", median(n for n, _ in bodies), MAX_MEDIAN_BODY)
    yield Figure("lines of the largest body", bodies[0][0], MAX_BODY, long)


def main() -> int:
    """Print each figure with its limit and with the places that exceed the limit."""
    measured = figures(ROOT / "plugins" / "vigie")
    for figure in measured:
        mark = "" if figure.is_met else "  <- too many"
        sys.stdout.write(f"{figure.name:32}{figure.value:>8g}  <= {figure.limit:g}{mark}\n")
        sys.stdout.writelines(f"    {detail}\n" for detail in figure.details)
    return 0 if all(figure.is_met for figure in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
