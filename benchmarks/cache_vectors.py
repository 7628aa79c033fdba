"""What an index of passages by meaning adds to the one by letters: edited passages replayed, by length, and the time.

    python benchmarks/cache_vectors.py pairs.jsonl [...] [--pairs 300] [--edits 1 2 4]

A line of a pairs file is a JSON object with `source` and `rewrite` (or `target`). All pairs are remembered; then some
words of each source are put in, taken out or replaced, and its rewrite is looked for: among passages that share text,
among those of like meaning (Milvus Lite, multilingual-e5-small), and with the source itself at hand, which is as many
as any index could bring. What is found is the replay's work alone; the guard is not asked. Last, other passages of the
files are looked for, whose like is not there: none should be replayed.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

from cache_edits import edited
from rewriter.cache.replay import Refused, carry
from rewriter.cache.similar import Remembered, Similar, alike, chosen
from rewriter.cache.vectors import Vectors

from rewriter.cache import scope_of
from rewriter.records import Answer

SCOPE = scope_of("http://127.0.0.1/v1", "m", {}, "prompt")
LENGTHS = (20, 40, 10**9)  # code points, below which a passage counts


def pairs_of(path: Path, rng: random.Random, most: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs to remember, and half as many other sources."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [(row["source"], row.get("rewrite") or row.get("target") or "") for row in rows]
    rng.shuffle(found)
    kept = found[: min(most, len(found) * 2 // 3)]
    return kept, [source for source, _ in found[len(kept) : len(kept) * 3 // 2]]


def carried(source: str, rewrite: str, new: str) -> bool:
    try:
        carry(source, rewrite, new, drops_hesitations=True)
    except Refused:
        return False
    return True


def row_of(
    similar: Similar, vectors: Vectors, source: str, rewrite: str, new: str, times: list[float]
) -> dict[str, int]:
    """1 for each way in which an edited passage would be replayed."""

    def replayed(near: list[Remembered]) -> bool:
        return chosen(near, new, lambda s, r: True, drops_hesitations=True) is not None

    by_letters = replayed(similar.candidates(SCOPE, new))
    began = time.perf_counter()
    near = alike(vectors, SCOPE, new)
    times.append(time.perf_counter() - began)
    by_meaning = replayed(near)
    at_hand = carried(source, rewrite, new) or by_letters or by_meaning
    return {"letters": by_letters, "meaning": by_meaning, "both": by_letters or by_meaning, "at hand": at_hand}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=300, help="of each file")
    parser.add_argument("--edits", type=int, nargs="+", default=[1, 2, 4], help="words of each passage")
    options = parser.parse_args()
    rng = random.Random(1)
    sampled = [pairs_of(file, rng, options.pairs) for file in options.files]
    pairs, strangers = ([one for pair in sampled for one in pair[side]] for side in (0, 1))
    with tempfile.TemporaryDirectory() as folder:
        vectors = Vectors(f"{folder}/meanings.db")
        similar = Similar(Path(folder), vectors=vectors)
        began = time.perf_counter()
        similar.remember_all([Remembered("", SCOPE, s, r, Answer(text=r), {}, 1.0) for s, r in pairs])
        with vectors.in_full():
            pass
        print(f"{len(pairs)} passages, added in {(time.perf_counter() - began) / len(pairs) * 1e3:.0f} ms each\n")
        print("| characters | words edited | passages | letters | meaning | both | with the source at hand |")
        print("|---|---|---|---|---|---|---|")
        times: list[float] = []
        for low, high in zip((0, *LENGTHS), LENGTHS, strict=False):
            for edits in options.edits:
                found, count = Counter[str](), 0
                for source, rewrite in pairs:
                    new = edited(source, edits, rng) if low <= len(source) < high else None
                    if new is not None and new != source:
                        count += 1
                        found.update(row_of(similar, vectors, source, rewrite, new, times))
                ways = ("letters", "meaning", "both", "at hand")
                shares = " | ".join(f"{found[way] / max(1, count):.0%}" for way in ways)
                length = f"below {high}" if not low else f"{low} to {high}" if high < LENGTHS[-1] else f"{low} and more"
                print(f"| {length} | {edits} | {count} | {shares} |", flush=True)
        wrong = sum(
            chosen(alike(vectors, SCOPE, one), one, lambda s, r: True, drops_hesitations=True) is not None
            for one in strangers
        )
        print(f"\nof {len(strangers)} other passages {wrong} were replayed from one of these")
        print(f"a look-up by meaning: {median(times) * 1e3:.0f} ms, the slowest {max(times) * 1e3:.0f} ms")
        print(*similar.notices, sep="\n")
        similar.close()
        vectors.close()


if __name__ == "__main__":
    main()
