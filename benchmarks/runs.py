"""Large runs through the command: memory and start-up, a warm run of many files, resuming a long one.

    python benchmarks/runs.py memory TALK.txt [--megabytes 1000] [--budget N]
    python benchmarks/runs.py warm TALK.txt [--files 1000]
    python benchmarks/runs.py resume TALK.txt [--passages 100000]

TALK.txt is any transcript; its copies are made of its text after the repair of loops and the like: its clauses in
another order, and random characters exchanged, so that no passage comes twice, or nearly. The model is `mock_server.py`
in a process of its own. Everything is written to a temporary folder (TMPDIR) and removed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from mock_server import mock, stats

from rewriter.fixes import fix

EVERY = 0.5  # seconds between two looks at the memory
CHARACTERS = "的一是不了在人有我他这中大来上国"
EDITED = 0.02


def copies(talk: str, folder: Path, *, files: int = 0, size: int = 0) -> int:
    """Copies of a talk with clauses and characters exchanged: so many, or until so many bytes; their number."""
    folder.mkdir()
    rng, written, number = random.Random(1), 0, 0
    clauses = re.findall(r"[^，。！？,!?\n]+|[，。！？,!?\n]+", talk)
    words, marks = clauses[::2], clauses[1::2]
    while (files and number < files) or (size and written < size):
        rng.shuffle(words)
        text = list("".join(word + mark for word, mark in zip(words, marks, strict=False)))
        for _ in range(int(len(text) * EDITED)):
            at = rng.randrange(len(text))
            if not text[at].isspace():
                text[at] = rng.choice(CHARACTERS)
        data = "".join(text).encode()
        (folder / f"{number:06}.txt").write_bytes(data)
        written, number = written + len(data), number + 1
    return number


def command(folder: Path, out: Path, cache: Path, url: str, *more: str) -> list[str]:
    os.environ.setdefault("OPENAI_API_KEY", "none")
    options = ["-o", str(out), "--cache", str(cache), "--base-url", url, "--model", "mock", "--quiet"]
    return [sys.executable, "-m", "rewriter.cli", "rewrite", str(folder), *options, "--concurrency", "256", *more]


def memory_of(process: subprocess.Popen[bytes], found: list[tuple[float, int]]) -> None:
    """Resident megabytes of a process and those it started, mapped files included, and the seconds since it began."""
    began = time.monotonic()
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError, ValueError):  # one of them has just ended
            started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            pages = sum(map(_pages, [str(process.pid), *started]))
            found.append((time.monotonic() - began, pages * resource.getpagesize() // 1_000_000))
        time.sleep(EVERY)


def _pages(process: str) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1])


def memory(talk: str, tmp: Path, megabytes: int, more: list[str]) -> None:
    files = copies(talk, tmp / "in", size=megabytes * 1_000_000)
    with mock(0.05) as url:
        began = time.monotonic()
        arguments = command(tmp / "in", tmp / "out", tmp / "cache", url, *more)
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        found: list[tuple[float, int]] = []
        watcher = threading.Thread(target=memory_of, args=(process, found))
        watcher.start()
        while not stats(url)["requests"] and process.poll() is None:
            time.sleep(0.02)
        first = time.monotonic() - began
        process.wait()
        watcher.join()
    seconds = time.monotonic() - began
    summary = json.loads((tmp / "out" / "summary.json").read_text())
    early = [mb for at, mb in found if at < 60]
    late = [mb for at, mb in found if at >= 60] or early
    print(f"{megabytes} MB in {files} files: {sum(summary['passages'].values())} passages in {seconds:.0f} s")
    print(f"first answer after {first:.2f} s")
    print(
        f"memory: at most {max(mb for _, mb in found)} MB; median of the first minute {statistics.median(early):.0f}, "
        f"after it {statistics.median(late):.0f}, of the last ten looks {statistics.median(late[-10:]):.0f}"
    )


def cpu(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def warm(talk: str, tmp: Path, files: int) -> None:
    short = talk[: 40_000 // max(1, files // 250)]
    copies(short, tmp / "in", files=files)
    with mock(0.0) as url:
        cold = cpu(command(tmp / "in", tmp / "out", tmp / "cache", url, "--similar", "off"))
        passages = sum(json.loads((tmp / "out" / "summary.json").read_text())["passages"].values())
        asked = stats(url)["requests"]
        each = cold[1] / passages * 1e3
        print(f"cold: {files} files, {passages} passages, {cold[0]:.1f} s, {each:.2f} ms of a processor each")
        for name, out in (("into a new folder, all from the cache", "again"), ("the same command again", "out")):
            wall, used = cpu(command(tmp / "in", tmp / out, tmp / "cache", url, "--similar", "off"))
            print(f"{name}: {wall:.1f} s, {passages / used:.0f} passages a second and core, start-up included")
        assert stats(url)["requests"] == asked, "something was asked again"


def resume(talk: str, tmp: Path, passages: int) -> None:
    """A run killed with one file to go: how long until it asks for the first passage of that file."""
    copies(talk, tmp / "in", files=2)
    with mock(0.0) as url:
        subprocess.run(
            command(tmp / "in", tmp / "out", tmp / "cache", url, "--no-cache"), check=False, stdout=subprocess.DEVNULL
        )
        lines = (tmp / "out" / "run.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        first = [x for x in lines if '"file":"000000.txt"' in x]
        held = sum(x.startswith('{"event":"passage"') for x in first)
        size = (tmp / "in" / "000000.txt").read_bytes()
        report = (tmp / "out" / "000000.txt").read_bytes()
        start = lines[0]
        needed = -(-passages // held)
        with (tmp / "out" / "run.jsonl").open("w", encoding="utf-8") as journal:
            journal.write(start)
            for n in range(needed):
                name = f"{n:06}.txt"
                (tmp / "in" / name).write_bytes(size)
                (tmp / "out" / name).write_bytes(report)
                journal.writelines(x.replace("000000.txt", name) for x in first)
        copies(talk[::-1], tmp / "last", files=1)
        shutil.move(tmp / "last" / "000000.txt", tmp / "in" / "999999.txt")
        asked = stats(url)["requests"]
        began = time.monotonic()
        process = subprocess.Popen(
            command(tmp / "in", tmp / "out", tmp / "cache", url, "--no-cache"), stdout=subprocess.DEVNULL
        )
        while stats(url)["requests"] == asked and process.poll() is None:
            time.sleep(0.02)
        print(
            f"{needed * held} finished passages in {needed} files, journal of "
            f"{(tmp / 'out' / 'run.jsonl').stat().st_size / 1e6:.0f} MB: first new answer after "
            f"{time.monotonic() - began:.2f} s"
        )
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "warm", "resume"])
    parser.add_argument("talk", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--budget", type=int, help="tokens in a passage, for memory")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--passages", type=int, default=100_000)
    options = parser.parse_args()
    talk = fix(options.talk.read_text(encoding="utf-8"), lang="zh", style="clean").text
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "memory":
            budget = ["--budget", str(options.budget)] if options.budget else []
            memory(talk, Path(folder), options.megabytes, budget)
        elif options.what == "warm":
            warm(talk, Path(folder), options.files)
        else:
            resume(talk, Path(folder), options.passages)


if __name__ == "__main__":
    main()
