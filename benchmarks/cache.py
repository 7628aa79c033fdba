"""The cache beside raw SQLite (WAL, synchronous FULL) in one run: hit, put, disk, open to first hit. Medians, ratios.

    python benchmarks/cache.py [--entries 3000] [--folder DIR]

The raw reference is a two-column table (key, value) holding the same sealed bytes, one prepared statement each. An
answer is 1.5 KB of text, Chinese and English; the hit includes the seal check and the making of the Answer. `key+hit`
includes the hash of the request (3 KB), and stands beside the same hash and a bare SELECT. Folders are made new below
DIR (default: the system's temporary folder).
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rewriter.cache.entry import pack

from rewriter.cache import PassageCache, request_key
from rewriter.cache import seal as sealing
from rewriter.records import Answer, Request, Usage

OPEN = """
import sys, time
import diskcache, rewriter.cache, rewriter.cache.store
start = time.perf_counter()
cache = rewriter.cache.PassageCache(sys.argv[1])
assert cache.get(sys.argv[2])
print((time.perf_counter() - start) * 1e3)
"""
WORDS = ["模型", "数据", "我们", "就是", "训练", "Milvus", "embedding", "评测", "向量", "open source", "问题", "社区"]
ABOUT: dict[str, str | int | float] = {"model": "gpt-4.1-mini", "style": "clean", "prompt": "0123456789abcdef"}


def answer(number: int) -> Answer:
    rng = random.Random(number)
    text = ""
    while len(text.encode()) < 1500:
        text += rng.choice(WORDS) + chr(rng.randrange(0x4E00, 0x8000))
    return Answer(text=text, usage=Usage(calls=1, input=900, output=500), model="gpt-4.1-mini")


def request(number: int) -> Request:
    messages = ({"role": "system", "content": "x" * 1500}, {"role": "user", "content": answer(number).text})
    return Request(model="gpt-4.1-mini", messages=messages, parameters={"temperature": 0})


def timed(call: Callable[[int], object], numbers: list[int]) -> float:
    """Median microseconds of a call."""
    spent = []
    for number in numbers:
        start = time.perf_counter()
        call(number)
        spent.append(time.perf_counter() - start)
    return median(spent) * 1e6


def _in_turns(ways: dict[str, Callable[[int], object]], parts: list[list[int]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for part in parts:
        for name, call in ways.items():
            found[name].append(timed(call, part))
    return found


def raw_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "mmap_size = 67108864"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB)")
    return connection


def mixed_sizes(folder: Path, entries: int) -> float:
    """Bytes of file per byte of payload where answers differ in length, as those of passages do."""
    rng = random.Random(2)
    plain = 0
    with PassageCache(folder / "mixed") as cache:
        for n in range(entries):
            text = answer(n).text * 2
            given = answer(n).model_copy(update={"text": text[: rng.randrange(len(text) // 6, len(text) * 5 // 6)]})
            plain += len(pack(given, ABOUT, 1.0, utf8=True))
            cache.put(f"{rng.getrandbits(256):064x}", given, about=ABOUT)
    return (folder / "mixed" / "cache.db").stat().st_size / plain


def run(folder: Path, entries: int) -> None:
    requests, answers = [request(n) for n in range(entries)], [answer(n) for n in range(entries)]
    keys = [request_key("https://api.example.com/v1", r) for r in requests]
    raws = [bytes.fromhex(k) for k in keys]
    sealed = [sealing.seal(r, pack(a, ABOUT, 1.0)) for r, a in zip(raws, answers, strict=True)]
    cache, raw = PassageCache(folder / "cache", memory=0), raw_database(folder / "raw.db")

    ours, theirs = [], []
    for n in range(entries):  # in turns, so that a slow moment hits both
        theirs.append(timed(lambda n: raw.execute("INSERT INTO entries VALUES (?, ?)", (raws[n], sealed[n])), [n]))
        ours.append(timed(lambda n: cache.put(keys[n], answers[n], about=ABOUT), [n]))
    rate = median(theirs) / median(ours)
    print(f"put      {1e6 / median(ours):8.0f}/s    raw {1e6 / median(theirs):8.0f}/s    {rate:.2f} of raw")

    order = random.Random(1).sample(range(entries), entries)

    def select(key: bytes) -> object:
        return raw.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()

    def key(n: int) -> str:
        return request_key("https://api.example.com/v1", requests[n])

    ways: dict[str, Callable[[int], object]] = {
        "raw": lambda n: select(raws[n]),
        "hit": lambda n: cache.get(keys[n]),
        "key": key,
        "key+raw": lambda n: select(bytes.fromhex(key(n))),
        "key+hit": lambda n: cache.get(key(n)),
    }
    parts = [order[p::6] for p in range(6)]  # in turns, so that a slow moment hits all
    took = {name: median(times) for name, times in _in_turns(ways, parts).items()}
    for ours, theirs in (("hit", "raw"), ("key+hit", "key+raw"), ("key+hit", "raw")):
        ratio = took[ours] / took[theirs]
        print(f"{ours:8s} {took[ours]:8.1f} us   {theirs:7s} {took[theirs]:6.1f} us   {ratio:.2f} x")
    print(f"key      {took['key']:8.1f} us")

    front = PassageCache(folder / "cache")
    few = [n % 500 for n in range(5000)]
    timed(lambda n: front.get(keys[n]), few)
    print(f"memory   {timed(lambda n: front.get(keys[n]), few):8.2f} us")
    front.close()

    plain = sum(len(pack(a, ABOUT, 1.0, utf8=True)) for a in answers)
    text = sum(len(a.text.encode()) for a in answers)
    cache.close()
    raw.close()
    size = (folder / "cache" / "cache.db").stat().st_size
    print(f"disk     {size / entries:8.0f} B    {size / text:.2f} x answer text, {size / plain:.2f} x payload in UTF-8")
    print(f"  texts of 0.5 to 2.5 KB: {mixed_sizes(folder, entries):.2f} x payload in UTF-8")
    opened = []
    for _ in range(7):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(folder / "cache"), keys[0]], capture_output=True, text=True, check=True
        )
        opened.append(float(done.stdout))
    print(f"open to first hit {median(opened):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=3000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), arguments.entries)


if __name__ == "__main__":
    main()
