"""What small edits to a transcript cost: passages asked again, replayed and taken from the cache.

    python benchmarks/cache_edits.py talk.txt [--edits 20] [--runs 6] [--budget N]

A scripted model that leaves out fillers and stutters rewrites the transcript; then a word is put in, taken out or
replaced at random places of it, and it is rewritten again with the same cache. `touched` are passages whose text is not
among the first run's. Every replay is looked at by the guard, as in any run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
from collections import Counter
from pathlib import Path

from rewriter.api import Rewriter
from rewriter.records import Answer, Request, Usage

WORDS = {
    True: ["模型", "数据", "北京", "七个", "公司", "开源", "去年", "平台", "算法", "王老师", "没有", "芯片"],
    False: ["model", "seven", "Boston", "never", "market", "last year", "Alice", "paper", "not", "north"],
}
FILLERS = re.compile(r"[嗯呃]+[，、,]?\s*|就是说[，,]?|对吧[，,]?|\b(?:um|uh|you know)\b,?\s*", re.IGNORECASE)
STUTTER = re.compile(r"([\u4e00-\u9fff]{1,3})\1|\b(\w+) \2\b")


class Scripted(Rewriter):
    """A Rewriter whose model is a function."""

    async def call(self, request: Request) -> Answer:
        self.calls += 1
        passage = re.findall(r"<<<([0-9a-f]{8})>>>\n(.*?)\n<<</\1>>>", request.messages[-1]["content"], re.DOTALL)[-1][
            1
        ]
        text = STUTTER.sub(lambda m: m[1] or m[2], FILLERS.sub("", passage))
        return Answer(text=text, usage=Usage(calls=1, input=900, output=300), model="scripted")


def edited(text: str, edits: int, rng: random.Random, first: int = 0) -> str | None:
    """A text with so many words put in, taken out or replaced from `first` on; None where it has not so many."""
    chinese = len(re.findall(r"[\u4e00-\u9fff]", text)) > len(text) / 3
    word = re.compile(r"[\u4e00-\u9fff]{2}" if chinese else r"\b[a-z]{3,}\b")
    found = [m.span() for m in word.finditer(text, first)]
    if len(found) < edits:
        return None
    for start, end in sorted(rng.sample(found, edits), reverse=True):
        new, how = rng.choice(WORDS[chinese]), rng.choice(["put in", "taken out", "replaced"])
        if how == "put in":
            new += ("" if chinese else " ") + text[start:end]
        text = text[:start] + ("" if how == "taken out" else new) + text[end:]
    return text


async def run(text: str, edits: int, seed: int, budget: int | None) -> tuple[Counter[str], Counter[str], int]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one.txt").write_text(text, encoding="utf-8")
        changed = edited(text, edits, random.Random(seed), first=100) or text
        (Path(folder) / "two.txt").write_text(changed, encoding="utf-8")
        options = {"model": "scripted", "base_url": "http://127.0.0.1:9/v1", "api_key": "none", "budget": budget}
        async with Scripted(cache=str(Path(folder) / "cache"), **options) as rewriter:
            first = await rewriter.rewrite(Path(folder) / "one.txt")
            before = rewriter.calls
            second = await rewriter.rewrite(Path(folder) / "two.txt")
            known = {o.source for o in first.passages}
            touched = Counter(str(o.status) for o in second.passages if o.source not in known)
            same = Counter(str(o.status) for o in second.passages if o.source in known)
            return touched, same, rewriter.calls - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--budget", type=int, default=None)
    arguments = parser.parse_args()
    touched, same = Counter[str](), Counter[str]()
    text = arguments.file.read_text(encoding="utf-8")
    for seed in range(arguments.runs):
        one, two, calls = asyncio.run(run(text, arguments.edits, seed, arguments.budget))
        print(f"seed {seed}: touched {dict(one)}, untouched {dict(two)}, calls {calls}")
        touched += one
        same += two
    total = touched.total()
    print(
        f"touched passages replayed: {touched['replayed'] / total:.1%} of {total}; "
        f"untouched without a call: {(same['cached'] + same['replayed']) / same.total():.1%} of {same.total()}"
    )


if __name__ == "__main__":
    main()
