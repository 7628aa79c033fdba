"""Hits and puts of this cache beside GPTCache and LangChain's SQLiteCache, same machine, same run, medians.

    python -m venv /tmp/rivals && /tmp/rivals/bin/pip install gptcache langchain-community faiss-cpu numpy
    python benchmarks/cache_rivals.py --rivals /tmp/rivals/bin/python [--entries 300]

The rivals run in an environment of their own, since their dependencies are not ours. GPTCache is used as its README
shows (SQLite, faiss, distance evaluation) with a hashed bag of characters as its embedding: no model's time is in its
figures. Then 200 near misses (a number, name, negation, unit changed, from tests/cases) are put to it, as to ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from cache import answer, request
from rewriter.cache import PassageCache, request_key, scope_of

CASES = Path(__file__).parent.parent / "tests" / "cases" / "cache_similar.json"

RIVALS = r"""
import json, os, sys, time, zlib
from statistics import median
data = json.load(sys.stdin)
os.chdir(data["folder"])

def timed(call, items):
    spent = []
    for item in items:
        start = time.perf_counter()
        call(*item)
        spent.append((time.perf_counter() - start) * 1e6)
    return median(spent)

def langchain():
    from langchain_community.cache import SQLiteCache
    from langchain_core.outputs import Generation
    cache = SQLiteCache(database_path="langchain.db")
    pairs = list(zip(data["prompts"], data["answers"]))
    put = timed(lambda p, a: cache.update(p, "model", [Generation(text=a)]), pairs)
    assert cache.lookup(pairs[0][0], "model")[0].text == pairs[0][1]
    return {"put": put, "hit": timed(lambda p, a: cache.lookup(p, "model"), pairs)}

def gptcache():
    import numpy
    from gptcache import Cache
    from gptcache.adapter.api import get, put
    from gptcache.manager import CacheBase, VectorBase, get_data_manager
    from gptcache.processor.pre import get_prompt
    from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

    def embed(text, **_):
        vector = numpy.zeros(256, dtype="float32")
        for at in range(len(text) - 1):
            vector[zlib.crc32(text[at : at + 2].encode()) % 256] += 1
        return vector / max(1.0, float(numpy.linalg.norm(vector)))

    cache = Cache()
    manager = get_data_manager(
        CacheBase("sqlite", sql_url="sqlite:///gptcache.db"),
        VectorBase("faiss", dimension=256, index_path="faiss.index"),
    )
    cache.init(
        pre_embedding_func=get_prompt, embedding_func=embed, data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
    )
    pairs = list(zip(data["prompts"], data["answers"]))
    spent = timed(lambda p, a: put(p, a, cache_obj=cache), pairs)
    assert get(pairs[0][0], cache_obj=cache) == pairs[0][1]
    hit = timed(lambda p, a: get(p, cache_obj=cache), pairs)
    for source, rewrite in data["bases"]:
        put(source, rewrite, cache_obj=cache)
    wrong = sum(get(new, cache_obj=cache) == stored for new, stored in data["near"])
    return {"put": spent, "hit": hit, "wrong": wrong}

out = {}
for rival in (langchain, gptcache):
    try:
        out[rival.__name__] = rival()
    except Exception as error:
        out[rival.__name__] = {"failed": f"{type(error).__name__}: {error}"[:300]}
print("\n" + json.dumps(out))
"""


def timed(call: Callable[..., object], items: list[Any]) -> float:
    """Median microseconds."""
    spent = []
    for item in items:
        start = time.perf_counter()
        call(*item)
        spent.append((time.perf_counter() - start) * 1e6)
    return median(spent)


def ours(folder: Path, entries: int) -> dict[str, float]:
    requests = [request(n) for n in range(entries)]
    pairs = [(request_key("https://api.example.com/v1", r), answer(n)) for n, r in enumerate(requests)]
    with PassageCache(folder / "ours", memory=0) as cache:
        put = timed(lambda k, a: cache.put(k, a, about={"model": "m"}), pairs)
        hit = timed(lambda k, a: cache.get(k), pairs)
        whole = timed(lambda r: cache.get(request_key("https://api.example.com/v1", r)), [(r,) for r in requests])
    with PassageCache(folder / "ours") as cache:
        for key, _ in pairs:
            cache.get(key)
        memory = timed(lambda k, a: cache.get(k), pairs)
    return {"put": put, "hit": hit, "key and hit": whole, "hit in memory": memory}


def near_misses(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]], int]:
    """The stored pairs, (new source, stored rewrite) of each near miss, and how many of ours were served wrongly."""
    cases = json.loads(CASES.read_text(encoding="utf-8"))
    bases = [(b["source"], b["rewrite"]) for b in cases["bases"].values()]
    near, wrong = [], 0
    scope = scope_of("https://api.example.com/v1", "m", {}, "prompt")
    with PassageCache(folder / "near") as cache:
        for source, rewrite in bases:
            cache.remember(scope, source, rewrite, answer(0))
        for name, _, old, new, *spelt in cases["near"]:
            base = cases["bases"][name]
            source = base["source"].replace(old, new)
            near.append((source, base["rewrite"]))
            found = cache.replay(scope, source, lambda s, r: True, drops_hesitations=True)
            right = base["rewrite"].replace(*(spelt or (old, new)))
            wrong += found is not None and "".join(found.rewrite.split()) != "".join(right.split())
    return bases, near, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", required=True, help="python of an environment with the rivals installed")
    parser.add_argument("--entries", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = ours(Path(folder), arguments.entries)
        bases, near, wrong = near_misses(Path(folder))
        data = {
            "folder": folder,
            "prompts": [" ".join(m["content"] for m in request(n).messages) for n in range(arguments.entries)],
            "answers": [answer(n).text for n in range(arguments.entries)],
            "bases": bases,
            "near": near,
        }
        done = subprocess.run(
            [arguments.rivals, "-c", RIVALS], input=json.dumps(data), capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        rivals = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        "ours".ljust(10),
        {k: round(v, 1) for k, v in own.items()},
        f"near misses served wrongly: {wrong} of {len(near)}",
    )
    for name, figures in rivals.items():
        print(name.ljust(10), {k: round(v, 1) if isinstance(v, float) else v for k, v in figures.items()})
        if "hit" in figures:
            hit, ram = figures["hit"] / own["hit"], figures["hit"] / own["hit in memory"]
            print(" " * 10, f"hit {hit:.0f} x ours from disk, {ram:.0f} x ours from memory")


if __name__ == "__main__":
    main()
