"""The cache's modules stand in one line: none imports, even late or for its types, one that leads back to it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "cache"


def imports_of(path: Path) -> set[str]:
    """The modules of the cache that a file imports anywhere: at the top, in a function, for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_no_import_leads_back() -> None:
    graph = {path.stem: imports_of(path) for path in FOLDER.glob("*.py")}
    assert graph["answers"] >= {"exact", "upkeep", "moving", "similar"}  # late imports are seen too
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle
    assert order[-1] == "__init__" and set(order) == set(graph)
