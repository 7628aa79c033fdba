"""Which words of two texts differ, cut where a reader would cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewriter.checks.align import Op, align

Words = Sequence[re.Match[str]]

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Characters of scripts written without spaces one by one, words whole; digits with the marks inside them.
_UNSPACED = _HAN + "\u3040-\u30ff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|\d+(?:[.,:]\d+)*|[^\W\d_{_UNSPACED}]+(?:['’][^\W\d_{_UNSPACED}]+)*")
# Equal tokens between two differences that count as different too, where both differences are as long: a 的 that two
# unrelated clauses share tells a reader nothing (the semantic clean-up of diff-match-patch).
ISLAND = 3
# Tokens that a stretch which stands on one side only is moved by at most.
SLIDE = 40


def compared(source: str, result: str) -> tuple[Words, Words, list[Op]]:
    """The words of both texts, and alternating stretches that are equal or not; an Op's numbers are those of words.

    Words are compared as they are written; punctuation is in none of them.
    """
    here, there = list(_TOKEN.finditer(source)), list(_TOKEN.finditer(result))
    return here, there, _slid(_tidied(_aligned(here, there)), here, there, source, result)


def _aligned(here: Words, there: Words) -> list[Op]:
    codes: dict[str, str] = {}
    left, right = (
        "".join(t[0] if len(t[0]) == 1 else codes.setdefault(t[0], chr(0xF0000 + len(codes) % 0xFFFE)) for t in tokens)
        for tokens in (here, there)
    )
    return align(left, right)


def _tidied(ops: Sequence[Op]) -> list[Op]:
    """Short equal islands between longer differences made part of them."""
    tidy: list[Op] = []
    for op in ops:
        tidy.append(op)
        while len(tidy) >= 3 and not tidy[-1].equal and _is_island(*tidy[-3:]):
            first, _, last = tidy[-3:]
            tidy[-3:] = [Op(False, first.a, last.b, first.c, last.d)]
    return tidy


def _is_island(before: Op, op: Op, after: Op) -> bool:
    size = op.b - op.a
    return size <= ISLAND and all(size < max(gap.b - gap.a, gap.d - gap.c) for gap in (before, after))


def _slid(ops: Sequence[Op], here: Words, there: Words, source: str, result: str) -> list[Op]:
    """Stretches that stand on one side only, moved to where a reader would cut (diff-match-patch's lossless clean-up).

    An alignment may as well take 对中[华，对中]国 as [对中华，]对中国: of all such places that is chosen which has most
    stops at its ends, then the first, since a false start is what comes before.
    """
    slid = list(ops)
    for i, op in enumerate(ops):
        if op.equal or (op.a < op.b and op.c < op.d):
            continue
        lost = op.a < op.b
        tokens, text, start, end = (here, source, op.a, op.b) if lost else (there, result, op.c, op.d)
        before = slid[i - 1].b - slid[i - 1].a - (i > 1) if i else 0
        after = slid[i + 1].b - slid[i + 1].a - (i + 2 < len(slid)) if i + 1 < len(slid) else 0
        by = _best_slide(tokens, text, start, end, min(before, SLIDE), min(after, SLIDE))
        if by:
            slid[i] = Op(False, op.a + by, op.b + by, op.c + by, op.d + by)
            if i:
                slid[i - 1] = slid[i - 1]._replace(b=slid[i].a, d=slid[i].c)
            if i + 1 < len(slid):
                slid[i + 1] = slid[i + 1]._replace(a=slid[i].b, c=slid[i].d)
    return [op for op in slid if op.a < op.b or op.c < op.d]


def _best_slide(tokens: Words, text: str, start: int, end: int, before: int, after: int) -> int:
    """How many tokens to move tokens[start:end] by, within `before` to the left and `after` to the right."""
    low = high = 0
    while -low < before and tokens[start + low - 1][0] == tokens[end + low - 1][0]:
        low -= 1
    while high < after and tokens[start + high][0] == tokens[end + high][0]:
        high += 1
    return max(range(low, high + 1), key=lambda by: _stops(tokens, text, start + by) + _stops(tokens, text, end + by))


def _stops(tokens: Words, text: str, at: int) -> int:
    """2 where a text or a line begins or ends before this token, 1 where there is a stop, 0 else."""
    if at in (0, len(tokens)):
        return 2
    between = text[tokens[at - 1].end() : tokens[at].start()]
    return 2 if "\n" in between else 1 if between.strip() else 0
