"""How fast are fixes and splitting, how full are passages, how far does an edit reach?

    python benchmarks/split.py FILE [--budget 250] [--times 20] [--trials 40]

Prints characters a second of each step on the file's text repeated (start-up and loading of token tables left out), the
share of the budget that passages fill, and how many passages change when one sentence is inserted, for as many places.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rewriter import formats
from rewriter.fixes import detect_language, fix
from rewriter.passages import DEFAULT_BUDGET, split
from rewriter.tokens import counter_for

SENTENCES = {"zh": "这里我多说一句题外话。", "en": "One more remark on the side. "}


def rate(step: Callable[[], object], characters: int) -> float:
    """Millions of characters a second, the best of three."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return characters / min(times) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET)
    parser.add_argument("--times", type=int, default=20, help="how often the text is repeated for the speeds")
    parser.add_argument("--trials", type=int, default=40, help="places of the inserted sentence")
    options = parser.parse_args()
    source = formats.read(options.file).text
    language = detect_language(source)
    counter = counter_for("")
    counter.count("warm")

    long = source * options.times
    fixed = fix(long, lang=language, style="clean").text
    print(f"fixes {rate(lambda: fix(long, lang=language, style='clean'), len(long)):.2f} M characters/s")
    print(f"split {rate(lambda: split(fixed, budget=options.budget, counter=counter), len(fixed)):.2f} M characters/s")

    text = fix(source, lang=language, style="clean").text
    passages = split(text, budget=options.budget, counter=counter)
    fill = statistics.mean(p.tokens for p in passages) / options.budget
    counted = sum(p.tokens for p in passages) / sum(counter.count(p.text) for p in passages)
    print(f"{len(passages)} passages, mean fill {fill:.0%}, tokens counted {counted:.3f} of exact")

    ends = [m.end() for m in re.finditer(r"[。！？]\s*|[.!?]\s+", text)]
    lost = []
    for k in range(options.trials):
        at = ends[(2 * k + 1) * len(ends) // (2 * options.trials)]
        edited = text[:at] + SENTENCES.get(language, SENTENCES["en"]) + text[at:]
        after = {p.text.strip() for p in split(edited, budget=options.budget, counter=counter)}
        lost.append(sum(p.text.strip() not in after for p in passages))
    print(
        f"one sentence more: {statistics.mean(lost):.2f} passages change (most {max(lost)}), "
        f"{1 - statistics.mean(lost) / len(passages):.1%} stay"
    )


if __name__ == "__main__":
    main()
