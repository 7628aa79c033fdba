"""Runs and desks for the tests: texts written for them, a model that does as told, `rewriter review` as a process."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import pi, sin
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from faulty_server import FaultyServer, Messages, light_edit, passage_between_markers
from rewriter.cli import main
from rewriter.report.desk.serving import Serving, laid, listening

# What the recogniser heard, a cue each. 飞讲 is a name misheard; the passage with 阀门 comes back gutted every time.
CUES = [
    "嗯今天我们我们来讲一下社区水站的改造，先说去年的情况。",
    "去年三月水站一共修了十七次，其中九次是因为水泵过热。",
    "维修师傅住在隔壁县城，来一趟要四十分钟。",
    "所以我们第一件事是换水泵，第二件事是装监控。",
    "监控程序是用飞讲训练的，数据是两年的水压记录。",
    "飞讲这个框架我们用得不多，但是文档写得清楚。",
    "阀门的问题比水泵还麻烦，因为它不是坏，它是慢慢地漏。",
    "漏了三个星期以后，地下室的墙都湿了，没有人发现。",
    "后来是看门的老陈听见声音，他说夜里有水在走。",
    "我们拿听漏仪去找，找了两个晚上，找到一个两毫米的孔。",
    "孔补上以后，用水量一个月少了六十吨，这个数字是抄表抄来的。",
    "最后说钱，水泵八千，监控三千五，听漏仪是借的，没有花钱。",
]
GUTTED = "阀门"
ENGLISH = (
    "So um the first thing we did was we we replaced the pump. It cost eight thousand, and it was not at fault. "
    "The valve had been leaking for three weeks and nobody noticed, because nobody goes down there in winter.\n\n"
    "Then the old porter heard it at night. He said there is water walking in the wall. We did not believe him, "
    "but we went down with a listening stick and found a hole of two millimetres.\n"
)
# What a hostile transcript may hold; every piece has to be seen as text.
ATTACKS = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "</textarea><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "[点这里](javascript:document.title='owned')",
    "\"><svg onload=document.title='owned'>",
    "{{ 7*7 }} {% raw %}",
    "https://example.com/x.png ![图](http://example.com/beacon.gif)",
    "\u202etxt.exe\u202c",
    "\x1b[31m红\x1b[0m\x07",
    "'; document.title='owned'; //",
]


def srt(cues: list[str]) -> str:
    """Cues of two seconds each."""
    stamp = "{n}\n00:00:{a:02},000 --> 00:00:{b:02},000\n{text}\n\n"
    return "".join(stamp.format(n=n + 1, a=2 * n, b=2 * n + 2, text=text) for n, text in enumerate(cues))


def answers(messages: Messages) -> str:
    """A light edit; a gutted one of a passage with 阀门 unless it is told to 保留; what an instruction says, done."""
    passage, told = passage_between_markers(messages), str(messages[-1]["content"])
    text = light_edit(passage).replace("\n", "")
    if "写作阿拉伯数字" in told:
        text = text.replace("八千", "8000").replace("六十吨", "60吨")
    if "删" in told:
        return text[: len(text) // 3]
    for form, name in re.findall(r"“(\w+)”(?:写作|应写作|改为)?[^“”\n]*“(\w+)”", told):
        text = text.replace(form, name)
    if GUTTED in passage and "保留" not in told:
        quarter = len(text) // 4
        return text[:quarter] + text[-quarter:]
    return text


def tone(path: Path, seconds: float = 24.0) -> Path:
    """A recording: a quiet tone."""
    rate = 8000
    samples = (int(4000 * sin(2 * pi * 220 * n / rate)) for n in range(int(seconds * rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
    return path


def rewriter(*arguments: str | Path, server: FaultyServer, cwd: Path, check: bool = True) -> str:
    """Run the command line as a process; its standard output."""
    done = subprocess.run(
        [*CLI, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=surroundings(server, cwd),
        timeout=120,
    )
    assert not check or done.returncode in {0, 3}, done.stderr
    return done.stdout if check else done.stdout + done.stderr


def surroundings(server: FaultyServer, folder: Path) -> dict[str, str]:
    """The environment of a user who has configured the server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "REWRITER_"))}
    return {
        **kept,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "sk-test-desk",
        "REWRITER_MODEL": "m",
        "REWRITER_CACHE": str(folder / "cache"),
    }


def make_run(server: FaultyServer, folder: Path, *extra: str | Path, files: dict[str, str] | None = None) -> Path:
    """A run over the talk (or `files`), with passages of two or three sentences; returns its folder."""
    named = files or {"水站.srt": srt(CUES)}
    for name, text in named.items():
        (folder / name).write_text(text, encoding="utf-8")
    inputs = [folder / name for name in named]
    arguments = ("rewrite", *inputs, "-o", folder / "out", "--budget", "60", "-q", *extra)
    if _in_a_loop():
        rewriter(*arguments, server=server, cwd=folder)
    else:
        with patch.dict(os.environ, surroundings(server, folder), clear=True), pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        assert ended.value.code in {0, 3}
    return folder / "out"


def _in_a_loop() -> bool:
    """Whether this thread runs an event loop, as it does while Playwright's browser lives: no other may run then."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def moved(made: Path, server: FaultyServer, folder: Path) -> Path:
    """A run made elsewhere, with its inputs and answers, as if it had been made in this folder with this server."""
    shutil.copytree(made.parent, folder, dirs_exist_ok=True)
    journal = folder / "out" / "run.jsonl"
    text = journal.read_text(encoding="utf-8").replace(str(made.parent), str(folder))
    journal.write_text(re.sub(r"http://127\.0\.0\.1:\d+/v1", server.base_url, text), encoding="utf-8")
    return folder / "out"


CLI = (sys.executable, "-m", "rewriter.cli")


@dataclass
class Running:
    """A desk that runs: the printed address, and its process if it has one of its own."""

    address: str
    process: subprocess.Popen[str] | None = None

    @property
    def origin(self) -> str:
        """The address without path and token."""
        return self.address.partition("/?")[0]


@contextmanager
def desk(*runs: Path, media: Sequence[Path] = (), terms: Path | None = None) -> Iterator[Running]:
    """A desk with some runs, served in a thread until the block ends."""
    with laid(runs, media=[str(path) for path in media], terms=terms) as made, listening(0) as ear:
        serving = Serving(made, ear)
        thread = threading.Thread(target=lambda: asyncio.run(serving.run()))
        thread.start()
        try:
            yield Running(serving.address)
        finally:
            serving.stop()
            thread.join(20)


@contextmanager
def desk_process(server: FaultyServer, *runs: Path, options: tuple[Any, ...] = ()) -> Iterator[Running]:
    """`rewriter review` over some runs, until the block ends."""
    command = [*CLI, "review", *map(str, runs), "--no-browser", *map(str, options)]
    folder = runs[0].parent
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=surroundings(server, folder)
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise AssertionError(process.communicate()[1])
        yield Running(address, process)
    finally:
        process.terminate()
        process.communicate(timeout=20)
