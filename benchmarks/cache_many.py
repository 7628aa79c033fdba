"""The cache in a run of many: what `once` itself costs with 256 asks in flight, and how a million entries open.

    python benchmarks/cache_many.py [--asks 5000] [--entries 1000000] [--folder DIR]

An ask is answered at once by a function, so that what is measured is the cache: entries a second of wall time, and the
processor's time of each (all threads). `one by one` is `put`, a flush each; `256 at once` is `once`, whose puts share
flushes. The second part fills a cache with answers of 1.5 KB, and opens it in fresh processes: time from the start of
opening to the first hit, after import; and the time of a hit at a random place, whose pages SQLite may have to read.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rewriter.cache.entry import pack

from rewriter.cache import PassageCache
from rewriter.cache import seal as sealing
from rewriter.records import Answer, Usage

IN_FLIGHT = 256
ABOUT: dict[str, str | int | float] = {"model": "gpt-4.1-mini", "style": "clean", "prompt": "0123456789abcdef"}
OPEN = """
import sys, time
import diskcache, rewriter.cache, rewriter.cache.store
start = time.perf_counter()
cache = rewriter.cache.PassageCache(sys.argv[1])
assert cache.get(sys.argv[2])
print((time.perf_counter() - start) * 1e3)
"""


def answer(number: int) -> Answer:
    text = "".join(chr(0x4E00 + (number * 7919 + n * 31) % 5000) for n in range(500))
    return Answer(text=text, usage=Usage(calls=1, input=900, output=500), model="gpt-4.1-mini")


def key_of(number: int) -> str:
    return f"{random.Random(number).getrandbits(256):064x}"


async def all_once(cache: PassageCache, keys: list[str], answers: list[Answer]) -> int:
    """Ask for every key, so many at a time; how many were hits."""
    waiting = iter(zip(keys, answers, strict=True))
    hits = 0

    async def work() -> None:
        nonlocal hits
        for key, given in waiting:

            async def ask(given: Answer = given) -> Answer:
                return given

            hits += (await cache.once(key, ask, about=ABOUT))[1]

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return hits


def told(name: str, count: int, call: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{name:28s} {count / wall:9.0f}/s   {wall / count * 1e6:7.1f} us each, {cpu / count * 1e6:6.1f} of processor"
    )


def many_at_once(folder: Path, asks: int) -> None:
    keys, answers = [key_of(n) for n in range(asks)], [answer(n) for n in range(asks)]
    with PassageCache(folder / "single") as cache:
        few = min(asks, 1000)
        told(
            "put, one by one",
            few,
            lambda: [cache.put(k, a, about=ABOUT) for k, a in zip(keys[:few], answers, strict=False)],
        )
    with PassageCache(folder / "many", memory=0) as cache:
        told("once, stored, 256 at once", asks, lambda: asyncio.run(all_once(cache, keys, answers)))
        hits: list[int] = []
        told("once, hit on disk", asks, lambda: hits.append(asyncio.run(all_once(cache, keys, answers))))
        assert hits == [asks]
    with PassageCache(folder / "many", memory=asks) as cache:
        asyncio.run(all_once(cache, keys, answers))
        told("once, hit in memory", asks, lambda: asyncio.run(all_once(cache, keys, answers)))


def a_million(folder: Path, entries: int) -> None:
    with PassageCache(folder / "million", memory=0) as cache:
        start = time.perf_counter()
        for first in range(0, entries, 10_000):
            numbers = range(first, min(entries, first + 10_000))
            raws = [bytes.fromhex(key_of(n)) for n in numbers]
            cache.store.write_all(
                [
                    (raw, sealing.seal(raw, pack(answer(n), ABOUT, 1.0)), 1.0)
                    for raw, n in zip(raws, numbers, strict=True)
                ]
            )
        print(f"{entries} entries filled in {time.perf_counter() - start:.0f} s")
    size = (folder / "million" / "cache.db").stat().st_size
    print(f"file {size / 1e9:.2f} GB, {size / entries:.0f} B an entry of {len(answer(0).text.encode())} B in UTF-8")
    rng, opened = random.Random(3), []
    for _ in range(9):
        command = [sys.executable, "-c", OPEN, str(folder / "million"), key_of(rng.randrange(entries))]
        opened.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print(f"open to first hit {median(opened):.2f} ms (most {max(opened):.2f})")
    with PassageCache(folder / "million", memory=0) as cache:
        keys = [key_of(rng.randrange(entries)) for _ in range(5000)]
        took = []
        for key in keys:
            start = time.perf_counter()
            assert cache.get(key)
            took.append(time.perf_counter() - start)
        print(f"hit {median(took) * 1e6:.1f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asks", type=int, default=5000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        many_at_once(Path(folder), arguments.asks)
        if arguments.entries:
            a_million(Path(folder), arguments.entries)


if __name__ == "__main__":
    main()
