"""Processes beside this one: what they compute is what would be computed here, and their deaths cost nothing."""

from __future__ import annotations

import asyncio
import json
import operator
import os
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from computed import bad_number, killed, printed
from faulty_server import FaultyServer, passage_between_markers
from rewriter import processes
from rewriter.errors import InputError
from rewriter.glossary import Glossary
from rewriter.judging import Rules, judged_in_paragraphs
from rewriter.processes import Processes
from talks import talk

RULES = Rules("clean", "clean", "zh", None)
PATIENCE = 20.0  # seconds for another interpreter to start on a busy machine


@pytest.fixture(autouse=True)
def _always_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too little to do for another process."""
    monkeypatch.setattr(processes, "BUSY", 0.0)
    monkeypatch.setattr(processes, "SECONDS", 0.0)


@pytest.fixture
async def beside() -> AsyncIterator[Processes]:
    """Two processes at most, one of which runs."""
    made = Processes(2)
    try:
        until = time.monotonic() + PATIENCE
        while not made.computed and time.monotonic() < until:
            await made.call(operator.add, 1, 1)
            await asyncio.sleep(0.01)
        assert made.computed, "no process was started"
        yield made
    finally:
        await made.aclose()


async def test_many_calls_come_back_to_their_callers(beside: Processes) -> None:
    before = beside.computed
    found = await asyncio.gather(*(beside.call(operator.mul, "字" * n, 3) for n in range(600)))
    assert found == ["字" * 3 * n for n in range(600)]
    assert beside.computed > before + 100


async def test_a_verdict_is_the_same_in_either_place(beside: Processes) -> None:
    source = talk(12)
    for draft in (
        source,
        source.replace("。", "，", 2),
        source[: len(source) // 2],
        "好的，以下是整理后的文字：" + source,
    ):
        before = beside.computed
        there = await beside.call(judged_in_paragraphs, source, draft, RULES)
        assert beside.computed == before + 1
        assert there == judged_in_paragraphs(source, draft, RULES)


async def test_terms_are_the_same_in_either_place(beside: Processes, tmp_path: Path) -> None:
    """A glossary's files are read there too; where they were changed meanwhile, what was loaded here counts."""
    path = tmp_path / "terms.yaml"
    path.write_text("terms: [{canonical: 智源, aliases: [志源]}, PaddlePaddle]", encoding="utf-8")
    text = "志源和志愿都讲了 Pedal-Pedal 的进展，智源没有。"
    here = Glossary.load(path)
    before = beside.computed
    await here.listen(text, beside.call)
    assert beside.computed == before + 1
    assert here.match(text) == Glossary.load(path).match(text) != []
    path.write_text("terms: [{canonical: 完全不同}]", encoding="utf-8")
    fresh = Glossary.from_terms([{"canonical": "智源", "aliases": ["志源"]}, "PaddlePaddle"])
    await beside.call(operator.add, 1, 1)
    other = talk(1) + text
    await here.listen(other, beside.call)
    assert here.match(other) == fresh.match(other) != []


async def test_what_a_call_raises_is_raised_here(beside: Processes) -> None:
    with pytest.raises(InputError, match=r"line 3: twelve is no number\. Write one\."):
        await beside.call(bad_number, "twelve")
    assert await beside.call(operator.add, 2, 3) == 5


async def test_what_cannot_be_sent_is_computed_here(beside: Processes) -> None:
    lock = asyncio.Lock()
    assert await beside.call(lambda one: one, lock) is lock


async def test_what_is_printed_there_stands_between_no_results(beside: Processes) -> None:
    found = await asyncio.gather(*(beside.call(printed, f"line {n}\n") for n in range(20)))
    assert found == [f"line {n}\n" for n in range(20)]


async def test_a_caller_that_gave_up_leaves_the_others_their_results(beside: Processes) -> None:
    calls = [asyncio.create_task(beside.call(operator.mul, "字", n)) for n in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert found[1::2] == ["字" * n for n in range(1, 100, 2)]


async def test_a_process_that_dies_costs_nothing_and_is_not_replaced(beside: Processes) -> None:
    assert await asyncio.gather(*(beside.call(killed, os.getpid()) for _ in range(10))) == [7] * 10
    await asyncio.sleep(0.1)
    assert await beside.call(operator.add, 2, 3) == 5
    assert beside.most < 2


def test_processes_end_with_the_one_that_was_killed() -> None:
    """A run that is killed leaves none behind."""
    code = (
        "import asyncio, os, operator; from rewriter import processes; processes.BUSY = processes.SECONDS = 0.0\n"
        "async def go():\n"
        "    made = processes.Processes(1)\n"
        "    while not made.computed:\n"
        "        await made.call(operator.add, 1, 1); await asyncio.sleep(0.01)\n"
        "    print(await made.call(os.getpid), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(go())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        os.kill(child, 0)
        run.kill()
    until = time.monotonic() + PATIENCE
    while _runs(child):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_none_is_started_for_a_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BUSY", 0.9)
    monkeypatch.setattr(processes, "SECONDS", 0.05)
    few = Processes(2)
    for _ in range(20):
        assert await few.call(operator.add, 1, 1) == 2
        await asyncio.sleep(0.01)
    await few.aclose()
    assert few.computed == 0


def in_the_command(*arguments: str) -> list[str]:
    """The command, with processes started for the least work."""
    code = (
        "import sys; from rewriter import processes; processes.BUSY = processes.SECONDS = 0.0; "
        "from rewriter.cli import main; main(sys.argv[1:])"
    )
    return [sys.executable, "-c", code, "rewrite", *arguments]


def answer(messages: list[dict[str, str]]) -> str:
    """An edit of the passage; of every third one less than half, of every fifth one more than was said."""
    passage = passage_between_markers(messages)
    kind = zlib.crc32(passage.encode())
    if kind % 3 == 0:
        return passage[: len(passage) // 3]
    if kind % 5 == 0:
        return passage + "此外，我们还决定明年三月在上海开设新的办事处。"
    return passage.replace("，", "、", 1)


@pytest.mark.slow
def test_a_run_ends_the_same_with_and_without(tmp_path: Path) -> None:
    """Thirty files at a server that guts and invents, with processes and without: every byte the same."""
    (tmp_path / "in").mkdir()
    for n in range(30):
        text = talk(20).replace("号", f"号（第{n + 1}天）")
        (tmp_path / "in" / f"{n:03}.txt").write_text(text, encoding="utf-8")
    found: dict[str, list[Any]] = {}
    for number in ("0", "2"):
        out = tmp_path / f"out{number}"
        with FaultyServer(rewrite=answer) as server:
            options = ["-o", str(out), "--base-url", server.base_url, "--model", "m", "--no-cache", "--budget", "100"]
            arguments = [str(tmp_path / "in"), *options, "--quiet", "--processes", number]
            done = subprocess.run(in_the_command(*arguments), check=False, capture_output=True, text=True)
        assert done.returncode == 3, done.stderr
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        found[number] = [{p.name: p.read_bytes() for p in out.glob("*.txt")}, summary["passages"], summary["usage"]]
    assert len(found["0"][0]) == 30
    assert found["0"] == found["2"]
