"""The similar tier: time, memory and size of a look-up as the number of passages grows.

    python benchmarks/cache_similar.py [--sizes 10000 100000 1000000] [--folder DIR]

Passages are made up: 200 Chinese characters, words drawn by rank as in speech (a few very often), from a vocabulary of
4,000 with common phrases between. Each look-up asks for a stored passage with one word changed. `candidates` is what
the index takes; `replay` includes carrying the difference over (the judge says yes). Median and 99th percentile of 500
look-ups, the same process that stored them; growth of this process's memory over that before the first passage.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from rewriter.cache.similar import Remembered, Similar

from rewriter.records import Answer, Usage

SCOPE = "ab" * 32
PHRASES = ["我们这个", "就是说", "人工智能", "大概有", "的时候", "这个问题", "开源社区", "对不对", "在这里面", "其实"]
ABOUT = {"model": "m", "style": "clean"}
SINGLY = 2000  # passages stored one by one, for the time of it; the rest a thousand at a time
ANSWER = Answer(text="", usage=Usage(calls=1, input=900, output=300), model="m")


def vocabulary() -> list[str]:
    rng = random.Random(0)
    return ["".join(chr(rng.randrange(0x4E00, 0x6E00)) for _ in range(rng.choice([1, 2, 2, 3]))) for _ in range(4000)]


def passage(number: int, words: list[str]) -> str:
    rng = random.Random(number)
    text: list[str] = []
    size = 0
    while size < 200:
        word = rng.choice(PHRASES) if rng.random() < 0.15 else words[int(len(words) * rng.random() ** 3)]
        text.append(word + ("，" if rng.random() < 0.12 else ""))
        size += len(text[-1])
    return "".join(text)


def memory() -> tuple[float, float]:
    """Resident megabytes now: the process's own, and pages of the file that the system may take back."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(lines[name].split()[0]) / 1e3 for name in ("RssAnon", "RssFile"))
    return own, mapped


def look_ups(similar: Similar, stored: int, words: list[str]) -> tuple[list[float], list[float], int]:
    rng = random.Random(1)
    found, replayed, hits = [], [], 0
    for _ in range(500):
        number = rng.randrange(stored)
        text = passage(number, words)
        at = rng.randrange(20, len(text) - 20)
        new = text[:at] + "变化" + text[at + 2 :]
        start = time.perf_counter()
        similar.candidates(SCOPE, new)
        middle = time.perf_counter()
        replay = similar.find(SCOPE, new, lambda source, rewrite: True, drops_hesitations=True)
        replayed.append((time.perf_counter() - middle) * 1e3)
        found.append((middle - start) * 1e3)
        hits += replay is not None and replay.rewrite == new + "。"
    return found, replayed, hits


def run(folder: Path, sizes: list[int]) -> None:
    words, before = vocabulary(), memory()
    similar = Similar(folder)
    done = 0
    for size in sizes:
        start = time.perf_counter()
        for number in range(done, min(size, done + SINGLY)):
            text = passage(number, words)
            similar.remember(SCOPE, text, text + "。", ANSWER, about=ABOUT)
        per = (time.perf_counter() - start) / SINGLY * 1e3
        for first in range(done + SINGLY, size, 1000):
            texts = [passage(number, words) for number in range(first, min(size, first + 1000))]
            similar.remember_all(Remembered("", SCOPE, t, t + "。", ANSWER, ABOUT, 1.0) for t in texts)
        done = size
        found, replayed, hits = look_ups(similar, done, words)
        own, mapped = memory()
        bytes_ = sum(p.stat().st_size for p in folder.glob("similar.db*"))
        print(
            f"{size:>9} passages: candidates p50 {median(found):.2f} p99 {quantiles(found, n=100)[98]:.2f} ms, "
            f"replay p50 {median(replayed):.2f} p99 {quantiles(replayed, n=100)[98]:.2f} ms, right {hits}/500, "
            f"store {per:.2f} ms each, {bytes_ / size:.0f} B each on disk, "
            f"memory +{own - before[0]:.0f} MB, and +{mapped - before[1]:.0f} MB of the file mapped",
            flush=True,
        )
    similar.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), sorted(arguments.sizes))


if __name__ == "__main__":
    main()
