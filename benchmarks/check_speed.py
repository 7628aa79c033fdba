"""How fast is the guard? Against difflib, through the command, and as documents grow.

    python benchmarks/check_speed.py [PAIRS.jsonl]

The texts are made here: Chinese characters drawn by how usual they are, edited at random. With a file of pairs
{id, source, rewrite} the command is timed on it too. Prints one figure a line.
"""

from __future__ import annotations

import difflib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rewriter.checks import check

# A few hundred usual characters; a text drawn from them repeats itself about as much as speech does.
SIGNS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如"
    "都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将"
    "两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比"
    "员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保"
)
CLAUSE = (8, 24)


def passage(rng: random.Random, size: int) -> str:
    """A text of about `size` characters, in clauses."""
    out: list[str] = []
    while size > 0:
        n = rng.randint(*CLAUSE)
        out.append("".join(rng.choices(SIGNS, k=n)) + rng.choice("，，，。"))
        size -= n + 1
    return "".join(out)


def edited(rng: random.Random, text: str, rate: float) -> str:
    """The text with a share of its characters replaced, left out or doubled, in runs of one to four."""
    out: list[str] = []
    i = 0
    while i < len(text):
        n = rng.randint(1, 4)
        if rng.random() < rate / 2.5:
            out.append(rng.choice(["", "".join(rng.choices(SIGNS, k=n)), text[i : i + n] * 2]))
        else:
            out.append(text[i : i + n])
        i += n
    return "".join(out)


def best_of(times: int, action: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        spent.append(time.perf_counter() - start)
    return min(spent)


def against_difflib(rng: random.Random) -> None:
    for rate in (0.05, 0.25):
        texts = [passage(rng, 1000) for _ in range(20)]
        pairs = [(text, edited(rng, text, rate)) for text in texts]
        check(*pairs[0])  # tables loaded
        ours = best_of(5, lambda pairs=pairs: [check(a, b) for a, b in pairs])
        theirs = best_of(2, lambda pairs=pairs: [blocks(a, b) for a, b in pairs])
        print(
            f"1,000 characters, {rate:.0%} edited: {ours / 20 * 1e3:.2f} ms, difflib alone {theirs / 20 * 1e3:.2f} ms"
        )


def blocks(source: str, draft: str) -> object:
    return difflib.SequenceMatcher(None, source, draft, autojunk=False).get_opcodes()


def growth(rng: random.Random) -> None:
    spent = {}
    for size in (20_000, 200_000):
        text = passage(rng, size)
        draft = edited(rng, text, 0.05)
        spent[size] = best_of(3, lambda text=text, draft=draft: check(text, draft))
    low, high = spent.values()
    print(f"20,000 characters {low:.2f} s, 200,000 characters {high:.2f} s: {high / low:.1f} times as long")


def command(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        size = sum(len(json.loads(line)["source"]) for line in file if line.strip())
    argv = [sys.executable, "-m", "rewriter.cli", "check", "--jsonl", str(path), "--json"]
    spent = best_of(3, lambda: subprocess.run(argv, stdout=subprocess.DEVNULL, check=True))
    print(f"rewriter check --jsonl: {size / spent / 1e6:.2f} million source characters a second ({path.name})")


def main(paths: list[str]) -> None:
    rng = random.Random(20)
    against_difflib(rng)
    growth(rng)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.jsonl"
        texts = [passage(rng, 450) for _ in range(3000)]
        lines = [json.dumps({"id": i, "source": t, "rewrite": edited(rng, t, 0.08)}) for i, t in enumerate(texts)]
        made.write_text("\n".join(lines), encoding="utf-8")
        for path in [made, *map(Path, paths)]:
            command(path)


if __name__ == "__main__":
    main(sys.argv[1:])
