"""How many misheard names are found by sound, from the names alone, and how often is one offered that is not there?

    python benchmarks/glossary_recall.py PAIRS.jsonl... [--names 100] [--others 0] [--show N]

A line of PAIRS is {source, target, ...}: text as it was heard or mistyped, and corrected. Both are aligned; wherever
the target has other letters, the word around them is a name if it is no ordinary word, whether it sounds like what
stands in the source or not. The names of consecutive pairs make a glossary of about --names names (one of all names
with 0), with --others percent more names from the same targets that were heard right. It is matched against these
pairs' sources.

A misheard name is found where an offer of it overlaps what stands in its place. An offer is false where the target has
the name neither there nor beside it. Names that are dropped from the target altogether, or whose place in the source is
empty, are not counted.
"""

from __future__ import annotations

import argparse
import collections
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rewriter.glossary import Glossary
from rewriter.glossary.beside import Beside
from rewriter.glossary.fold import fold
from rewriter.glossary.learning import Names, is_name
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.unusual import same_word, stretches

# A substitution of more tokens than this on a side is a passage said anew.
LONGEST = 8


class Heard(NamedTuple):
    """source[start:end] of a row stands where its target has `name`."""

    row: int
    start: int
    end: int
    name: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--names", type=int, default=100)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    for path in options.pairs:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [(row["source"], row["target"]) for row in map(json.loads, lines)]
        measure(path.stem, rows, options)


def measure(title: str, rows: list[tuple[str, str]], options: argparse.Namespace) -> None:
    found: collections.Counter[str] = collections.Counter()
    total: collections.Counter[str] = collections.Counter()
    missed: collections.Counter[tuple[str, str]] = collections.Counter()
    false: collections.Counter[tuple[str, str]] = collections.Counter()
    sizes = []
    for numbers, heard in groups(rows, options.names):
        glossary = Glossary.from_terms(names_of(rows, numbers, heard, options.others))
        sizes.append(len(glossary))
        for number in numbers:
            source, target = rows[number]
            offers = [hit for hit in glossary.match(source) if hit.how == "sound"]
            mine = [one for one in heard if one.row == number]
            for one in mine:
                kind = "zh" if CHINESE.fullmatch(one.name) else "latin" if one.name.isascii() else "mixed"
                total[kind] += 1
                if any(o.start < one.end and one.start < o.end and o.canonical == one.name for o in offers):
                    found[kind] += 1
                else:
                    missed[one.name, source[one.start : one.end]] += 1
            beside = Beside(source, target)
            for offer in offers:
                start, end = beside.in_made(offer.start, offer.end)
                size = len(offer.canonical)
                if fold(offer.canonical) not in fold(target[max(0, start - size) : end + size]):
                    false[offer.canonical, source[offer.start : offer.end]] += 1
    characters = sum(len(source) for source, _ in rows)
    shares = ", ".join(
        f"{kind} {found[kind]}/{total[kind]} ({found[kind] / total[kind]:.0%})" for kind in sorted(total)
    )
    rate = 1000 * sum(false.values()) / characters
    size = round(sum(sizes) / max(1, len(sizes)))
    print(
        f"{title}: found {shares}; {rate:.2f} false offers per 1,000 characters of {characters}, "
        f"{size} names a glossary"
    )
    if options.show:
        print("  missed:", ", ".join(f"{a} ({b})" for (a, b), _ in missed.most_common(options.show)))
        print("  false:", ", ".join(f"{a} ({b})" for (a, b), _ in false.most_common(options.show)))


def groups(rows: list[tuple[str, str]], names: int) -> Iterator[tuple[list[int], list[Heard]]]:
    """Consecutive rows with about so many different names, and where these were misheard."""
    numbers: list[int] = []
    heard: list[Heard] = []
    for number, (source, target) in enumerate(rows):
        numbers.append(number)
        heard.extend(misheard(number, source, target))
        if names and len({one.name for one in heard}) >= names:
            yield numbers, heard
            numbers, heard = [], []
    if numbers:
        yield numbers, heard


def misheard(row: int, source: str, target: str) -> Iterator[Heard]:
    beside, names = Beside(source, target), Names(target, Glossary.empty())
    done = 0
    for op in beside.ops:
        if op.equal or op.a == op.b or op.c == op.d or max(op.d - op.c, op.b - op.a) > LONGEST:
            continue
        begin, end = names.around(beside.made[op.c].start(), beside.made[op.d - 1].end())
        name = target[begin:end]
        tokens = beside.in_source(begin, end)
        if begin < done or not is_name(name) or not tokens:
            continue
        start, finish = tokens[0].start(), tokens[-1].end()
        if not same_word(fold(source[start:finish]), fold(name)):
            done = end
            yield Heard(row, start, finish, name)


def names_of(rows: list[tuple[str, str]], numbers: list[int], heard: list[Heard], others: int) -> list[str]:
    names = dict.fromkeys(one.name for one in heard)
    wanted = len(names) * others // 100
    folded = {fold(name) for name in names}
    found = stretches([rows[number][1] for number in numbers])
    for kind in (found.chinese, found.latin):
        rare = sorted(
            (s for key, s in kind.items() if key not in folded), key=lambda s: (-s.usual / len(s.text), s.text)
        )
        names |= dict.fromkeys(stretch.text for stretch in rare[: wanted // 2])
    return list({fold(name): name for name in names}.values())


if __name__ == "__main__":
    main()
