"""How good is the guard on labelled pairs, and what does each of its steps contribute?

    python benchmarks/check_figures.py PAIRS.jsonl [PAIRS.jsonl ...] [--style clean] [--ablate]

Each line is {"id", "source", "rewrite", "good": true or false} and may have a "kind" (what was done to a bad one) and a
"set". Printed are the share of good rewrites rejected, by set, and of bad ones let through, by kind; with --ablate the
same with each step of the guard taken out in turn.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from rewriter import checks
from rewriter.checks import (
    contraries,
    cover,
    facts,
    find,
    marks,
    names,
    negations,
    normalise,
    shape,
    sound,
)


def none(*_: Any) -> list[Any]:
    return []


def unfolded(text: str) -> str:
    return text.lower() if len(text.lower()) == len(text) else text


# What is put in the place of which part when a step is taken out.
STEPS: dict[str, list[tuple[Any, str, Any]]] = {
    "width, script and sounds folded": [(normalise, "fold", unfolded)],
    "numbers as values": [(normalise, "_forms", lambda word: [word]), (normalise, "_special", lambda w: "'" in w)],
    "sounding alike": [(find.sound, "alike", lambda a, b: 0.0)],
    "said again close by": [(find, "_held", none)],
    "moved elsewhere": [(find, "TRAVELS", 10**6)],
    "grammar words weigh less": [(find, "LIGHT_WEIGHT", 1.0)],
    "discourse phrases weigh less": [(find, "DISCOURSE_WEIGHT", 1.0)],
    "like makes up for like": [(find, "REPLACE_CREDIT", 0.0)],
    "sentences put in": [(find, "place_of", lambda *_: "inner")],
    "said twice": [(find, "doubled", lambda *_: False)],
    "notes in brackets": [(find, "bracketed", lambda *_: False)],
    "numbers lost or changed": [(facts, "numbers", none)],
    "negations lost": [(negations, "negations", none)],
    "contraries": [(contraries, "contraries", none)],
    "clauses cut out whole": [(find, "cut_out", lambda *_: False)],
    "names exchanged": [(names, "_term", lambda *_: None)],
    "names in no list": [(names, "_unusual", lambda *_: False), (names, "_throughout", lambda *_: False)],
    "facts put in": [(marks, "put_in", none)],
    "wrong shapes": [(shape, "signs", none)],
}


@contextmanager
def without(step: str) -> Iterator[None]:
    """The guard with one step taken out."""
    patches = [mock.patch.object(owner, name, new) for owner, name, new in STEPS.get(step, [])]
    for forget in (find.weight_of, sound._alike, cover.stem, cover.length_of, normalise._forms):
        forget.cache_clear()
    normalise._ORDINARY.clear()
    normalise._SPECIAL.clear()
    normalise._kept.clear()
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def figures(rows: list[dict[str, Any]], style: str) -> dict[str, float]:
    """Shares of wrong verdicts: of good rewrites by set, of bad ones by kind, and of each over all."""
    wrong: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        accepted = checks.check(row["source"], row["rewrite"], style=style).accepted
        if row["good"]:
            wrong["good rejected"].append(not accepted)
            wrong[f"good rejected: {row.get('set', 'all')}"].append(not accepted)
        else:
            wrong[f"missed: {row.get('kind', 'all')}"].append(accepted)
    return {name: sum(found) / len(found) for name, found in sorted(wrong.items())}


def show(name: str, shares: dict[str, float]) -> None:
    """One line: the good rejected, and each kind missed."""
    missed = {k.partition(": ")[2]: v for k, v in shares.items() if k.startswith("missed")}
    print(f"{name:32} good rejected {shares.get('good rejected', 0):6.2%}  missed", end=" ")
    print(" ".join(f"{kind} {share:.1%}" for kind, share in missed.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--style", default="clean")
    parser.add_argument("--ablate", action="store_true")
    options = parser.parse_args()
    lines = [line for path in options.pairs for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [json.loads(line) for line in lines]
    whole = figures(rows, options.style)
    for name, share in whole.items():
        print(f"{name:40} {share:6.2%}")
    if options.ablate:
        show("all steps", whole)
        for step in STEPS:
            with without(step):
                show(f"without {step}", figures(rows, options.style))


if __name__ == "__main__":
    main()
