"""README and docs/ cannot rot: their commands and Python blocks run, against a real server on loopback.

A page's blocks run in order in one folder that holds what a reader would have: talk.txt, talk.srt, terms.yaml and the
like. `>>>` examples are doctests. What needs another machine, an hour or a gigabyte is listed below, with its reason.
"""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_server import FaultyServer
from rewriter.cli import main
from talks import talk

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Beginnings of commands that are not run here, and where they are run instead.
ELSEWHERE = {
    "make ": "the tests and the continuous integration are these",
    "pip install": "the continuous integration installs the wheel in an environment of its own",
    "rewriter local pull": "a gigabyte; tests of the embedded model fetch it",
    "rewriter local serve": "runs until Ctrl-C; tests of the embedded model start it",
    "python benchmarks/": "minutes",
}
# Words in a Python block that need the embedded model; such a block runs in the slow tests of the model.
NEEDS_MODEL = "EmbeddedServer"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    return [m[2] for m in _BLOCK.finditer(page.read_text(encoding="utf-8")) if m[1] in languages]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a reader has at hand, and an endpoint that answers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lectures").mkdir()
    for name in ("talk.txt", "lectures/one.txt", "lectures/two.txt"):
        Path(name).write_text(talk(8), encoding="utf-8")
    cue = "{n}\n00:00:0{n},000 --> 00:00:0{m},000\n{text}\n\n"
    srt = "".join(cue.format(n=n, m=n + 1, text=f"第{n}件木箱是在码头找到的。") for n in range(1, 4))
    Path("talk.srt").write_text(srt, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "glossary.yaml", "terms.yaml")
    shutil.copytree(ROOT / "examples", "examples")
    with FaultyServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("REWRITER_BASE_URL", server.base_url)  # wins over what a page exports
        monkeypatch.setenv("REWRITER_MODEL", "m")
        yield tmp_path


def commands(page: Path) -> list[str]:
    """The `rewriter` lines of a page's shell blocks that run here, each as one line without its comment."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    said = [re.sub(r"\s+#.*$", "", line).strip() for line in lines]
    return [s for s in said if s.startswith("rewriter ") and not s.startswith(tuple(ELSEWHERE))]


def supply(text: str) -> None:
    """Make the files that a command or a block takes for granted."""
    for name in re.findall(r"(?<!-o )\b[\w/-]+\.(?:txt|srt|yaml)\b", text):
        path = Path(name)
        if not path.exists() and not name.startswith(("out", "missing")):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy({".txt": "talk.txt", ".srt": "talk.srt", ".yaml": "terms.yaml"}[path.suffix], path)


def run(line: str, server: str) -> int:
    arguments = [server if a.startswith("http://") else a for a in shlex.split(line)[1:]]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for line in commands(page):
        if ".gguf" in line:
            continue  # a file of the reader's own
        supply(line)
        assert run(line, os.environ["REWRITER_BASE_URL"]) in {0, 3}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
@pytest.mark.usefixtures("folder")
def test_python_blocks_run(page: Path) -> None:
    for number, block in enumerate(blocks(page, "python")):
        if NEEDS_MODEL in block:
            continue
        supply(block)
        name = f"{page.name}[{number}]"
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, {}, name, str(page), 0)
            said: list[str] = []
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
            assert said == [], "".join(said)
        else:
            exec(compile(block, name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_the_readme_tells_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert any(line.startswith(f"make {command}") for line in first)
        assert f"\n{command}: " in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
