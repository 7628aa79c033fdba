"""Which tokens of the source became which of the draft: an edit alignment in about linear time.

Passages are aligned whole by rapidfuzz (bit-parallel Levenshtein after Myers 1999). Longer texts are first cut at
anchors, runs of tokens that occur once on each side and in the same order (patience diff, Cohen), so that time grows
with length and not with its square.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

# Tokens aligned in one go. 3,000 by 3,000 takes about 2 ms; above, anchors are looked for.
WHOLE = 3000
# One token in so many is expected to change; the alignment looks at a narrow band first and is the same for any number.
LIKELY = 16
# Length of an anchor: long enough that a chance repetition is rare, short enough to survive light edits.
ANCHOR = 8
# Of the runs of Chinese characters only those that begin with one character in so many are looked at, the same on both
# sides: a Chinese text has five times the tokens of an English one as long, and far more anchors than are needed.
SAMPLED = 16
# Codes above are words (see `normalise.Coder`) or rare characters.
LAST_CHARACTER = 0xFB00
# Without anchors a stretch is cut in proportion into blocks of this size; what is misplaced there counts as moved.
BLOCK = 6000


class Op(NamedTuple):
    """source[a:b] stands against draft[c:d]; equal or not."""

    equal: bool
    a: int
    b: int
    c: int
    d: int


def align(source: str, draft: str) -> list[Op]:
    """Alternating equal and unequal stretches that tile both token strings."""
    ops: list[Op] = []
    for a, b, c, d in _stretches(source, draft):
        here, there = a, c
        hint = max(b - a, d - c) // LIKELY
        # The last block is empty and stands at both ends.
        for block in Levenshtein.opcodes(source[a:b], draft[c:d], score_hint=hint).as_matching_blocks():
            i, j, size = a + block.a, c + block.b, block.size
            if i > here or j > there:
                _push(ops, False, here, i, there, j)
            if size:
                _push(ops, True, i, i + size, j, j + size)
            here, there = i + size, j + size
    return ops


def _push(ops: list[Op], equal: bool, a: int, b: int, c: int, d: int) -> None:
    """Append, joined to the last stretch where both are of one kind."""
    if ops and ops[-1].equal == equal:
        last = ops.pop()
        a, c = last.a, last.c
    ops.append(Op(equal, a, b, c, d))


def _stretches(source: str, draft: str) -> list[tuple[int, int, int, int]]:
    """Pieces to align one by one: the whole where it is short, else what lies between anchors."""
    if max(len(source), len(draft)) <= WHOLE:
        return [(0, len(source), 0, len(draft))]
    cuts = [(0, 0)]
    for i, j in _anchors(source, draft):
        if i - cuts[-1][0] >= WHOLE // 3 or j - cuts[-1][1] >= WHOLE // 3:
            cuts.append((i, j))
    cuts.append((len(source), len(draft)))
    out: list[tuple[int, int, int, int]] = []
    for (a, c), (b, d) in pairwise(cuts):
        out += _blocks(a, b, c, d)
    return out


def _blocks(a: int, b: int, c: int, d: int) -> list[tuple[int, int, int, int]]:
    """A stretch without anchors, cut in proportion."""
    n = -(-max(b - a, d - c) // BLOCK) or 1
    marks = [(a + (b - a) * k // n, c + (d - c) * k // n) for k in range(n + 1)]
    return [(p[0], q[0], p[1], q[1]) for p, q in pairwise(marks)]


def _anchors(source: str, draft: str) -> Iterator[tuple[int, int]]:
    """Starts of runs that occur once on each side, the longest chain in the same order."""
    here, there = _once(source), _once(draft)
    runs = [run for run in here if run in there]
    for k in _increasing([there[run] for run in runs]):
        yield here[runs[k]], there[runs[k]]


def _once(text: str) -> dict[str, int]:
    seen: dict[str, int] = {}
    for m in _sampled().finditer(text, 0, max(0, len(text) - ANCHOR + 1)):
        i = m.start()
        run = text[i : i + ANCHOR]
        seen[run] = -1 if run in seen else i
    return {run: i for run, i in seen.items() if i >= 0}


@lru_cache(maxsize=1)
def _sampled() -> re.Pattern[str]:
    """Codes at which a run is looked at: of words all, of characters one in SAMPLED."""
    characters = "".join(map(chr, range(0x0E00, LAST_CHARACTER, SAMPLED)))
    return re.compile(f"[{characters}{chr(LAST_CHARACTER)}-\U0010ffff]")


def _increasing(values: list[int]) -> list[int]:
    """Where the longest rising subsequence stands (patience sorting)."""
    tails: list[int] = []
    at: list[int] = []
    back: list[int] = []
    for k, value in enumerate(values):
        place = bisect_left(tails, value)
        if place == len(tails):
            tails.append(value)
            at.append(k)
        else:
            tails[place], at[place] = value, k
        back.append(at[place - 1] if place else -1)
    chain: list[int] = []
    k = at[-1] if at else -1
    while k >= 0:
        chain.append(k)
        k = back[k]
    return chain[::-1]
