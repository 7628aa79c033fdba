"""How fast is splitting, and how full are passages?   python benchmarks/split.py FILE [--budget 250]

Prints characters a second for the whole split (counter loaded before), and the share of the budget that passages fill.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from rewriter.passages import DEFAULT_BUDGET, split
from rewriter.tokens import counter_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET)
    options = parser.parse_args()
    text = options.file.read_text(encoding="utf-8")
    counter = counter_for("")
    counter.count("warm")
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        passages = split(text, budget=options.budget, counter=counter)
        times.append(time.perf_counter() - begin)
    fill = statistics.median(p.tokens for p in passages) / options.budget
    exact = sum(counter.count(p.text) for p in passages)
    counted = sum(p.tokens for p in passages)
    rate = len(text) / statistics.median(times) / 1e6
    print(f"{len(passages)} passages, median fill {fill:.0%}, tokens counted {counted / exact:.3f} of exact")
    print(f"{rate:.2f} M characters/s (median of 5)")


if __name__ == "__main__":
    main()
