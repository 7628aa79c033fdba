"""Negations that went while the words about them stayed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rewriter.checks import sound
from rewriter.checks.find import Gap, Segment
from rewriter.checks.normalise import Tokens

# Tokens on either side of a gap in which a denial may stand in other words.
NEAR = 5
# Tokens within which the same negation said again is a false start (没, 没有去).
AGAIN = 3
# Tokens after a denied verb within which its denied complement may follow.
COMPLEMENT = 8
# The longest gaps looked at, in tokens: lost without anything in its place, and replaced.
LONGEST_LOST, LONGEST_REPLACED = 3, 3
WEIGHT = 1.5
# Words that go or come with a negation: do not, did not, 没有.
_CARRIERS = "do does did is are was were have has had can could would will should 有 是 会 能 要"
CARRIERS = frozenset(_CARRIERS.split())
_NEGATIONS = "不 没 未 无 别 not never no cannot none nothing without nor neither"
NEGATIONS = frozenset(_NEGATIONS.split())
# Words in which the character denies nothing, when they go as a whole (不仅, 未来). Without it what stays of them is no
# word or another (不同, 同), which no editor leaves behind.
NO_NEGATION_AFTER = {
    "别": "人的墅",
    "未": "来",
    "不": "过仅但只同断管论料久少光妨愧",
    "没": "错关",
    "无": "论非疑锡",
}
NO_NEGATION_BEFORE = {"别": "特分类级性区识个派差", "不": "要"}
# 别 forbids, and a third person who heads a clause (without 让 or 告诉 before) cannot be forbidden: 她别笑了 is a slip.
# 别是 is perhaps.
THIRD_PERSONS = frozenset("他她它")
# After words that refuse or prevent, speakers say a negation too many (拒绝不出席, 避免不发生, 以免不), and editors
# take it out; after 难免, 差点 and 好 it means nothing either.
PLEONASTIC = ("拒绝", "避免", "防止", "禁止", "以免", "切忌", "难免", "否认", "差点", "差一点")
_REACH = 4
# 好不容易 is 好容易.
_EASILY = "好不容"


def negations(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Every gap in which a denial went and was not said in other words."""
    found = []
    for g in gaps:
        if not NEGATIONS.isdisjoint(source.forms[g.a : g.b]) and _bare(g, source, draft):
            for i in range(g.a, g.b):
                if _denies(source, i, g.b) and not _asked(g, i, source, draft) and not _kept(g, i, source, draft):
                    found.append(Segment("negation", WEIGHT, g.a, g.b, g.c, g.d))
                    break
        elif _answered(g, source, draft):
            found.append(Segment("negation", WEIGHT, g.a, g.b + 2, g.c, g.d + 2))
    return found


def _answered(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Did 有没有 become 没有, 能不能 不能: a question or a whether that is now a denial?"""
    if g.d > g.c or g.b - g.a != 1 or not 0 <= g.a < len(source) - 2:
        return False
    first, negation, again = source.forms[g.a : g.a + 3]
    stammered = g.a > 0 and source.forms[g.a - 1] == first
    whole = first == again and negation in {"没", "不"} and not stammered
    return whole and draft.forms[g.c : g.c + 2] == [negation, again] and draft.forms[g.c - 1 : g.c] != [first]


def _bare(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Did nothing go but the negation and its carrier, or was the rest only corrected (半不会 became 般会)?"""
    rest = [f for f in source.forms[g.a : g.b] if f not in NEGATIONS]
    if g.d == g.c:
        if g.b - g.a > 1 and source.code[g.a : g.b] in (
            source.code[2 * g.a - g.b : g.a],
            source.code[g.b : 2 * g.b - g.a],
        ):
            return False  # I can't I can't
        stays = {*source.forms[max(0, g.a - 1) : g.a], *source.forms[g.b : g.b + 1]}  # 听听不懂 became 听懂
        return g.b - g.a <= LONGEST_LOST and all(f in CARRIERS or f in stays for f in rest)
    new = draft.forms[g.c : g.d]
    if g.b - g.a > LONGEST_REPLACED or not rest or not NEGATIONS.isdisjoint(new):
        return False
    return CARRIERS.issuperset(rest + new) or sound.alike(rest, new) >= sound.ALIKE


def _asked(g: Gap, i: int, source: Tokens, draft: Tokens) -> bool:
    """是不是, 有没有 is a question, no denial; it became a statement, unless its two halves now stand side by side."""
    if not (0 < i < len(source) - 1 and source.forms[i - 1] == source.forms[i + 1]):
        return False
    return not (0 < g.c < len(draft) and draft.forms[g.c - 1] == draft.forms[g.c] == source.forms[i + 1])


def _denies(source: Tokens, i: int, end: int) -> bool:
    """Does the negation at `i` deny something, or tear a word apart by going alone? `end` is where the gap ends."""
    forms = source.forms
    form = forms[i]
    if form not in NEGATIONS:
        return False
    before = forms[i - 1] if i else ""
    after = forms[i + 1] if i + 1 < len(forms) else ""
    if not after or form in (before, after):
        return False  # 不不: a stutter
    if form == "别" and (after == "是" or (before in THIRD_PERSONS and _heads_clause(source, i - 1))):
        return False
    if (i + 1 < end and after in NO_NEGATION_AFTER.get(form, ())) or (
        before and before in NO_NEGATION_BEFORE.get(form, ()) and i + 1 < end
    ):
        return False
    if "".join(forms[max(0, i - _REACH) : i]).endswith(PLEONASTIC) or "".join(forms[max(0, i - 1) : i + 2]) == _EASILY:
        return False
    return not _tagged(source, i)


def _heads_clause(source: Tokens, i: int) -> bool:
    start = source.start(i)
    return start == 0 or not source.text[start - 1].isalnum()


def _tagged(source: Tokens, i: int) -> bool:
    """A negation before a stop (看过没？, 看过没有， right, no, but not.) tags or breaks off."""
    if source.forms[i] == "not" and i and source.forms[i - 1] in CARRIERS:
        return False  # it didn't.
    last = i + 1 if source.forms[i] == "没" and source.forms[i + 1] == "有" else i
    end = source.end(last)
    follow = source.text[end : end + 1]
    return bool(follow) and not (follow.isalnum() or follow.isspace() or follow in "'’")


def _kept(g: Gap, i: int, source: Tokens, draft: Tokens) -> bool:
    """Is the denial said again close by, in other words in the draft, or is it a false start said again?"""
    here = max(1, _count(source.forms, max(0, g.a - NEAR), g.b + NEAR))
    there = _count(draft.forms, max(0, g.c - NEAR), g.d + NEAR)
    return there >= here or (there > 0 and _again(source.code, i)) or _complement(source.forms, i)


def _count(forms: list[str], start: int, end: int) -> int:
    """How many negations forms[start:end] has, those left out that are part of another word (别人, 特别)."""
    return sum(
        f in NEGATIONS
        and forms[i + 1 : i + 2] != ["人"]
        and (forms[i - 1 : i] or [""])[0] not in NO_NEGATION_BEFORE.get(f, "")
        for i, f in enumerate(forms[start:end], start)
    )


def _again(code: str, i: int) -> bool:
    return code.count(code[i : i + 2], max(0, i - AGAIN), i + 2 + AGAIN) > 1


def _complement(forms: list[str], i: int) -> bool:
    """不想了半天也想不出来: is the same verb denied by its complement a few words on?"""
    verb = forms[i + 1]
    rest = forms[i + 2 : i + 2 + COMPLEMENT]
    return verb not in CARRIERS and any(a == verb and b in NEGATIONS for a, b in pairwise(rest))
