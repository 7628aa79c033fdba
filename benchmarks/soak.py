"""A long run against a server that misbehaves: is memory flat, is every passage accounted for, is no word lost?

    python benchmarks/soak.py [--passages 5000] [--fault-rate 0.3] [--seed 1] [--concurrency 64]

The whole command runs against `tests/faulty_server.py`, each in a process of its own. The server draws from every fault
a run must live with: bursts of 429, server errors, connections reset or cut, truncated JSON, web pages, empty and huge
answers, and answers that leave out, put in or change something. The talks are numbered sentences, so that a lost one is
known by name. Ends with 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from runs import memory_of

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from talks import missing, talk  # noqa: E402  it lies in the tests

SENTENCES = 250  # of one file, in passages of about eleven
PER_PASSAGE = 11
OUTCOMES = {"rewritten", "cached", "replayed", "repaired", "kept"}
# Of memory: the last quarter of the run may hold so much more than the second.
FLAT = 1.1


@contextmanager
def faulty(rate: float, seed: int) -> Iterator[str]:
    """The server in a process of its own, as its base URL."""
    options = ["--fault-rate", str(rate), "--seed", str(seed), "--retry-after", "0.2", "--until-eof"]
    command = [sys.executable, str(TESTS / "faulty_server.py"), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        threading.Thread(target=lambda out: [None for _ in out], args=(process.stderr or (),), daemon=True).start()
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.stdout.read()
            process.wait(10)


def account_of(url: str) -> dict[str, Any]:
    """What the server has charged, and how often which fault was met."""
    with urlopen(url.removesuffix("/v1") + "/account", timeout=10) as reply:
        return dict(json.load(reply))


def write_talks(folder: Path, passages: int) -> int:
    """Files of numbered sentences, no number twice; how many files."""
    folder.mkdir()
    files = max(1, passages // (SENTENCES // PER_PASSAGE))
    for n in range(files):
        (folder / f"{n:04}.txt").write_text(talk(SENTENCES, first=n * SENTENCES), encoding="utf-8")
    return files


def run(tmp: Path, url: str, concurrency: int) -> tuple[int, float, list[tuple[float, int]]]:
    """Exit code, seconds, and the memory in MB over time."""
    os.environ.setdefault("OPENAI_API_KEY", "none")
    options = ["-o", tmp / "out", "--cache", tmp / "cache", "--base-url", url, "--model", "m", "--quiet"]
    command = [sys.executable, "-m", "rewriter.cli", "rewrite", tmp / "in", *options, "--concurrency", concurrency]
    began, found = time.monotonic(), list[tuple[float, int]]()
    process = subprocess.Popen([str(x) for x in command], stdout=subprocess.DEVNULL)
    memory_of(process, found)
    return process.wait(), time.monotonic() - began, found


def doubled(text: str) -> int:
    """Sentences that stand in the text more than once."""
    numbers = re.findall(r"第(\d+)号", text)
    return len(numbers) - len(set(numbers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=5000)
    parser.add_argument("--fault-rate", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, faulty(options.fault_rate, options.seed) as url:
        tmp = Path(folder)
        files = write_talks(tmp / "in", options.passages)
        code, seconds, seen = run(tmp, url, options.concurrency)
        account = account_of(url)
        summary = json.loads((tmp / "out" / "summary.json").read_text(encoding="utf-8"))
        sources, texts = (
            [(tmp / where / f"{n:04}.txt").read_text(encoding="utf-8") for n in range(files)] for where in ("in", "out")
        )
    return report(code, seconds, seen, account, summary, sources, texts)


def report(
    code: int,
    seconds: float,
    seen: list[tuple[float, int]],
    account: dict[str, Any],
    summary: dict[str, Any],
    sources: list[str],
    texts: list[str],
) -> int:
    """Print what holds and what does not; 1 where something does not."""
    counts = summary["passages"]
    lost = [n for at, text in enumerate(texts) for n in missing(SENTENCES, text, first=at * SENTENCES)]
    late, early = (statistics.median(mb for at, mb in seen if low < at / seconds <= high)
                   for low, high in ((0.75, 1.0), (0.25, 0.5)))  # fmt: skip
    most = max(mb for _, mb in seen)
    spent = summary["usage"]
    charged = {kind: account[kind] for kind in ("calls", "input", "cached", "output")}
    charged["calls"] += account["counts"].get("content_filter", 0)  # an answer for us, without a price
    characters = sum(summary["characters"].values())
    faults = {k: v for k, v in account["counts"].items() if k != "good"}
    rows = [
        ("exit code", code in {0, 3}, f"{code}, after {seconds:.0f} s"),
        ("passages", set(counts) <= OUTCOMES and summary["unfinished"] == summary["failed"] == 0, f"{counts}"),
        ("requests", True, f"{sum(account['counts'].values())}, {sum(faults.values())} with a fault: {faults}"),
        ("sentences lost", not lost, f"{len(lost)} of {len(texts) * SENTENCES} {lost[:5] or ''}"),
        ("sentences doubled", not sum(map(doubled, texts)), str(sum(map(doubled, texts)))),
        ("characters accounted for", characters == sum(map(len, sources)), f"{characters}"),
        ("spend is the server's account", all(spent[k] == charged[k] for k in charged), f"{spent} and {charged}"),
        ("answers lost on the way", True, f"{account['lost']}"),
        ("memory, MB", late <= early * FLAT, f"second quarter {early:.0f}, last {late:.0f}, most {most}"),
    ]  # fmt: skip
    for name, holds, what in rows:
        print(f"{'ok' if holds else 'NOT'}\t{name}: {what}")
    return 0 if all(holds for _, holds, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
