"""Facts that must survive one by one: numbers, negations, Latin terms and names.

A fact is looked for in the gaps of the alignment, so that it is compared in its place; one that stands close by on
the other side (a stutter, a moved phrase) has survived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rewriter.checks import sound
from rewriter.checks.find import ALIKE, Gap, Segment, weight_of
from rewriter.checks.normalise import NUMBER, Tokens

# Tokens on either side of a gap in which a number may have moved, and in which a negation may.
NUMBER_NEAR = 12
NEGATION_NEAR = 5
# A gap with more inserted tokens than this has been rephrased, and a negation may be in the new words.
REPHRASED = 3
NEGATIONS = frozenset("不 没 未 沒 無 无 別 别 not never no cannot none nothing without nor neither".split())
# Words in which the character denies nothing.
NO_NEGATION_AFTER = {
    "别": "人的墅",
    "別": "人的墅",
    "未": "来來",
    "不": "过過仅僅但只同断斷管论論料如好错錯久得少光妨愧",
    "没": "错錯关關",
    "沒": "錯關",
    "无": "论非疑锡",
    "無": "論非疑錫",
    "no": (),
}
NO_NEGATION_BEFORE = {
    "别": "特分类级性区识个派差",
    "別": "特分類級性區識個派差",
    "未": "",
    "不": "差对要了",
    "无": "",
    "無": "",
}


def numbers(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Numbers of the source that the draft no longer has in their place."""
    found = []
    for g in gaps:
        lost = [i for i in range(g.a, g.b) if source.forms[i][0] == NUMBER]
        if not lost:
            continue
        near = draft.forms[max(0, g.c - NUMBER_NEAR) : g.d + NUMBER_NEAR]
        here = [f for f in draft.forms[g.c : g.d] if f[0] == NUMBER]
        gone = [i for i in lost if not _survives(source.forms[i], near)]
        if gone and not _same_digits([source.forms[i] for i in lost], here):
            found += [Segment("number", 1.0 if not here else 1.5, i, i + 1, g.c, g.d) for i in gone]
    return found


def _survives(form: str, near: list[str]) -> bool:
    return form in near or (form == "#1" and ("一" in near or "one" in near or "a" in near))


def _same_digits(left: list[str], right: list[str]) -> bool:
    """Two five against 25, 3.5 against 3 5: the same digits, grouped otherwise."""
    digits = ["".join(c for f in side for c in f if c.isdigit()).replace("0", "") for side in (left, right)]
    return bool(right) and digits[0] == digits[1]


def negations(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Negations that went while the words about them stayed."""
    found = []
    for g in gaps:
        if g.b - g.a > REPHRASED * 2 or g.d - g.c > REPHRASED:
            continue
        for i in range(g.a, g.b):
            if _denies(source.forms, i) and not _kept(g, i, source, draft):
                found.append(Segment("negation", 1.0, i, i + 1, g.c, g.d))
                break
    return found


def _denies(forms: list[str], i: int) -> bool:
    form = forms[i]
    if form not in NEGATIONS:
        return False
    before = forms[i - 1] if i else ""
    after = forms[i + 1] if i + 1 < len(forms) else ""
    if before and before == after:
        return False  # 是不是, 能不能: a question, not a denial
    return after not in NO_NEGATION_AFTER.get(form, ()) and not (before and before in NO_NEGATION_BEFORE.get(form, ()))


def _kept(g: Gap, i: int, source: Tokens, draft: Tokens) -> bool:
    """Is the denial said again close by, in the source (a stutter) or in other words in the draft?"""
    here = Counter(f for f in source.forms[max(0, g.a - NEGATION_NEAR) : g.b + NEGATION_NEAR] if f in NEGATIONS)
    there = Counter(f for f in draft.forms[max(0, g.c - NEGATION_NEAR) : g.d + NEGATION_NEAR] if f in NEGATIONS)
    if sum(there.values()) >= sum(here.values()):
        return True
    follow = source.code[i : i + 2]
    again = source.code.count(follow, max(0, i - 8), i + 10) > 1
    return again and bool(there)


def changed(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Runs replaced by others that neither look nor sound like them."""
    found = []
    for g in gaps:
        if g.b == g.a or g.d == g.c or g.alike >= ALIKE:
            continue
        old = [f for f in source.forms[g.a : g.b] if weight_of(f) >= 0.6 and f[0] != NUMBER]
        new = [f for f in draft.forms[g.c : g.d] if weight_of(f) >= 0.6 and f[0] != NUMBER]
        if not old or not new or set(old) & set(new):
            continue
        latin = any(f[0] < "\u0e00" for f in old)
        if sound.alike(old, new) < ALIKE:
            weight = min(sum(map(weight_of, old)), sum(map(weight_of, new)))
            found.append(Segment("term" if latin else "changed", weight, g.a, g.b, g.c, g.d))
    return found
