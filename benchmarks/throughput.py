"""How near to what the calls allow does a whole run come, with many calls at once?

    python benchmarks/throughput.py TALK.txt [--runs 3] [--calls 64x0.5 256x2 256x0.5] [--seconds 20] [--budget N]
        [--glossary FILE]

The whole command runs, fixes to journal, glossary and cache included, against `mock_server.py` in a process of its own
that answers each call after so many seconds: `64x0.5` is 64 calls at once of half a second, of which 128 a second are
the ideal. TALK.txt is any transcript; its copies are made as in `runs.py`. Shown are medians of the shares of the
ideal: of the run from its first request to its last answer, of its middle half, and of the whole command, start and end
of the process included; and the processor time of the command for each passage. The server takes its part of the same
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from mock_server import mock, stats
from runs import command, copies

from rewriter.fixes import fix

EVERY = 0.1  # seconds between two looks at the server's count


class Shares(NamedTuple):
    """Shares of the ideal rate, and processor milliseconds for each passage."""

    calls: float
    middle: float
    whole: float
    processor: float


def measure(talk: str, tmp: Path, calls: int, latency: float, seconds: float, more: list[str]) -> Shares:
    """One run of so many calls at once, that would take so many seconds at the ideal."""
    ideal = calls / latency
    probe = tmp / "probe"
    each = passages_of(talk, probe, more)
    files = max(2, round(seconds * ideal / each))
    copies(talk, tmp / "in", files=files)
    with mock(latency) as url:
        arguments = command(tmp / "in", tmp / "out", tmp / "cache", url, "--concurrency", str(calls), *more)
        before, began = os.times(), time.monotonic()
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        seen: list[tuple[float, int]] = []
        while process.poll() is None:
            seen.append((time.monotonic(), int(stats(url)["requests"])))
            time.sleep(EVERY)
        wall, after, counted = time.monotonic() - began, os.times(), stats(url)
    passages = sum(json.loads((tmp / "out" / "summary.json").read_text())["passages"].values())
    first = next(at for at, n in seen if n) - latency
    last = next(at for at, n in seen if n >= counted["requests"]) if seen[-1][1] >= counted["requests"] else seen[-1][0]
    low, high = (next(s for s in seen if s[1] >= share * passages) for share in (0.25, 0.75))
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Shares(
        passages / (last - first) / ideal,
        (high[1] - low[1]) / (high[0] - low[0]) / ideal,
        passages / wall / ideal,
        used / passages * 1e3,
    )


def passages_of(talk: str, folder: Path, more: list[str]) -> int:
    """How many passages a copy of the talk has."""
    copies(talk, folder, files=1)
    arguments = command(folder, folder, folder, "http://127.0.0.1:9/v1", "--dry-run", "--json", *more)
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout)["passages"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("talk", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--calls", nargs="+", default=["64x0.5", "256x2", "256x0.5"])
    parser.add_argument("--seconds", type=float, default=20, help="that a run would take at the ideal")
    parser.add_argument("--glossary", type=Path)
    parser.add_argument("--budget", type=int)
    options = parser.parse_args()
    more = ["--glossary", str(options.glossary)] if options.glossary else []
    more += ["--budget", str(options.budget)] if options.budget else []
    talk = fix(options.talk.read_text(encoding="utf-8"), lang="zh", style="clean").text
    print("| calls | from first request to last answer | middle half | whole command | processor, ms a passage |")
    print("|---|---|---|---|---|")
    for wanted in options.calls:
        calls, latency = wanted.split("x")
        found = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(talk, Path(folder), int(calls), float(latency), options.seconds, more))
        middle = Shares(*map(statistics.median, zip(*found, strict=True)))
        shares = " | ".join(f"{share:.0%}" for share in middle[:3])
        print(f"| {calls} x {latency} s | {shares} | {middle.processor:.1f} |", flush=True)


if __name__ == "__main__":
    main()
