"""Facts that must survive one by one: numbers, negations, Latin terms and names.

A fact is looked for in the gaps of the alignment, so that it is compared in its place; one that stands close by on
the other side (a stutter, a moved phrase) has survived.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from rapidfuzz.distance import Indel

from rewriter.checks.disfluency import ZH_LIGHT
from rewriter.checks.find import ALIKE, Gap, Segment, weight_of
from rewriter.checks.normalise import NUMBER, Tokens
from rewriter.checks.numbers import ZH_NUMERALS

# Tokens on either side of a gap in which a number may have moved, and in which a negation may.
NUMBER_NEAR = 12
NEGATION_NEAR = 5
# What may change along with a number, in content characters, for the number still to count as changed alone.
COMPANY = 1.5
# The same number said again within so many tokens is a stutter or a correction.
REPEAT = 3
# From this many digits on, trailing zeros are a scale (million) and not compared.
LONG_NUMBER = 5
# Digits of a year, which recognisers shorten (2020 to 202) like no other number.
YEAR = 4
MEASURES = frozenset("个個")
# Tokens of a replaced run that can be told to be another word, and of one that can be a name.
LONGEST_CHANGE = 6
LONGEST_NAME = 2
NAMED_WEIGHT = 0.6
# Below this likeness of sound a name was exchanged: where both sides are names, and where the recogniser wrote none
# and may have misheard one badly (of human corrections on recogniser output 0.7 % fall below it).
NAME_ALIKE = 0.5
UNNAMED_ALIKE = 0.3
CALM = 3
_LATIN_WORDS = re.compile(r"[^\W\d_\u3400-\u9fff]+")
_SCALES = frozenset(f"{NUMBER}{10**k}" for k in (2, 3, 6, 9, 12))
_NUMERALS = re.compile(rf"[{ZH_NUMERALS}]+|[0-9]+")
# What a recogniser writes for a word that sounds like a number: (word, number heard).
HOMOPHONES = (
    ("to", "two"),
    ("too", "two"),
    ("the", "two"),
    ("for", "four"),
    ("won", "one"),
    ("and", "one"),
    ("ate", "eight"),
)
# Words that go or come with a negation: do not, did not, 没有.
CARRIERS = frozenset(
    [
        "do",
        "does",
        "did",
        "is",
        "are",
        "was",
        "were",
        "have",
        "has",
        "had",
        "can",
        "could",
        "would",
        "will",
        "should",
        "有",
        "是",
        "会",
        "能",
        "要",
    ]
)
NEGATIONS = frozenset(
    [
        "不",
        "没",
        "未",
        "沒",
        "無",
        "无",
        "別",
        "别",
        "not",
        "never",
        "no",
        "cannot",
        "none",
        "nothing",
        "without",
        "nor",
        "neither",
    ]
)
# Words in which the character denies nothing.
NO_NEGATION_AFTER = {
    "别": "人的墅",
    "別": "人的墅",
    "未": "来來",
    "不": "过過仅僅但只同断斷管论論料久少光妨愧",
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
    "不": "要",
    "无": "",
    "無": "",
}


def numbers(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Numbers of the source that the draft no longer has in their place.

    One that went alone, or was replaced alone, is "number"; one that went with other words is "number?", because a
    recogniser that misheard a whole stretch misheard the numbers in it too.
    """
    found = []
    for g in gaps:
        lost = [i for i in range(g.a, g.b) if source.forms[i][0] == NUMBER]
        if lost:
            found += _numbers_of(g, lost, source, draft)
    return found


def _numbers_of(g: Gap, lost: list[int], source: Tokens, draft: Tokens) -> list[Segment]:
    near = draft.forms[max(0, g.c - NUMBER_NEAR) : g.d + NUMBER_NEAR]
    here = [f for f in draft.forms[g.c : g.d] if f[0] == NUMBER]
    around = source.forms[max(0, g.a - NUMBER_NEAR) : g.b + NUMBER_NEAR]
    gone = [i for i in lost if not _survives(source.forms[i], around, near)]
    old = [source.forms[i] for i in lost]
    if not gone or _same_digits(old, here) or _stutter(g, lost, source, draft):
        return []
    said = source.text[slice(*source.span(lost[0], lost[-1] + 1))]
    # A bare 三 or 五 before a pronoun or particle is a false start; before a noun or measure it counts something.
    follow = source.forms[lost[-1] + 1 : lost[-1] + 2]
    slight = not here and len(said) == 1 and not said.isdigit() and bool(follow) and follow[0] in ZH_LIGHT - MEASURES
    certain = _alone(g, source, draft) and not slight and not any(_grown(o, n) for o in old for n in here)
    kind = "number" if certain else "number?"
    return [Segment(kind, 1.5 if here else 1.0, i, i + 1, g.c, g.d) for i in gone]


def _survives(form: str, around: list[str], near: list[str]) -> bool:
    """Is the number in the draft as often as it was said, a repeat within a few words counted once?"""
    if form == "#1" and ("一" in near or "one" in near or "a" in near):
        return True
    places = [k for k, f in enumerate(around) if f == form]
    said = 1 + sum(1 for p, q in pairwise(places) if q - p > REPEAT)
    return near.count(form) >= said


def _same_digits(left: list[str], right: list[str]) -> bool:
    """Two five against 25, 3.5 against 3 5: the same digits, grouped otherwise."""
    digits = [
        "".join(f[1:].replace(".", "").replace(":", "") for f in side if f not in _SCALES) for side in (left, right)
    ]
    digits = [d.replace("0", "") for d in digits]
    timed = any(":" in f for f in left + right)
    return (timed or len(left) + len(right) > 2) and bool(right) and digits[0] == digits[1]


def _grown(old: str, new: str) -> bool:
    """Is one number the other with digits missing at an end (2025 and 25, 9 and 1.9)? Recognisers cut numbers short.

    A model that changes a number puts in other digits.
    """
    old, new = old[1:], new[1:]
    if len(old) >= LONG_NUMBER and len(new) >= LONG_NUMBER:
        old, new = old.rstrip("0"), new.rstrip("0")
        if old == new:
            return True
    long, short = (new, old) if len(new) > len(old) else (old, new)
    if old.rstrip("0") == new.rstrip("0") and len(old) != YEAR:
        return False
    return len(long) > len(short) > 0 and (long.startswith(short) or long.endswith(short))


def _stutter(g: Gap, lost: list[int], source: Tokens, draft: Tokens) -> bool:
    """十十九 became 十九, 五五 became 五: what went of the numeral as said is repeated in what stayed of it."""
    old = source.text[slice(*source.span(lost[0], lost[-1] + 1))]
    if len(old) > 1 and len(set(old)) == 1:
        return True
    window = draft.text[slice(*draft.span(max(0, g.c - 1), min(len(draft), g.d + 1)))] if len(draft) else ""
    plain = _squeezed(old)
    return any(
        (old.endswith(new) and old[: -len(new)] in new) or (new != old and plain == _squeezed(new))
        for new in _NUMERALS.findall(window)
    )


def _squeezed(numeral: str) -> str:
    return "".join(c for i, c in enumerate(numeral) if i == 0 or c != numeral[i - 1])


def _alone(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Did nothing but numbers, their units and a word or two change here?"""
    words = [f for f in source.forms[g.a : g.b] if f[0] != NUMBER]
    new = [f for f in draft.forms[g.c : g.d] if f[0] != NUMBER]
    light = sum(map(weight_of, words)) <= COMPANY and sum(map(weight_of, new)) <= COMPANY
    return light and not (new and _sounds_like_word(g, source, new))


def _sounds_like_word(g: Gap, source: Tokens, new: list[str]) -> bool:
    """Two for to, four for for: the number was never said."""
    said = source.text[slice(*source.span(g.a, g.b))].lower().split()
    return any(heard in said and word in new for word, heard in HOMOPHONES)


def negations(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Negations that went while the words about them stayed."""
    found = []
    for g in gaps:
        if g.d > g.c or g.b - g.a > 3 or not all(f in NEGATIONS or f in CARRIERS for f in source.forms[g.a : g.b]):
            continue
        for i in range(g.a, g.b):
            if _denies(source, i) and not _asked(g, i, source, draft) and not _kept(g, i, source, draft):
                found.append(Segment("negation", 1.0, g.a, g.b, g.c, g.d))
                break
    return found


def _asked(g: Gap, i: int, source: Tokens, draft: Tokens) -> bool:
    """是不是, 有没有 is a question, no denial; it became a statement, unless its two halves now stand side by side."""
    if not (0 < i < len(source) - 1 and source.forms[i - 1] == source.forms[i + 1]):
        return False
    return not (0 < g.c < len(draft) and draft.forms[g.c - 1] == draft.forms[g.c] == source.forms[i + 1])


def _denies(source: Tokens, i: int) -> bool:
    forms = source.forms
    form = forms[i]
    if form not in NEGATIONS:
        return False
    before = forms[i - 1] if i else ""
    after = forms[i + 1] if i + 1 < len(forms) else ""
    if not after or form in (before, after):
        return False  # 不不: a stutter
    if after in NO_NEGATION_AFTER.get(form, ()) or (before and before in NO_NEGATION_BEFORE.get(form, ())):
        return False
    # A negation before a stop (看过没？, right, no, but not.) tags or breaks off.
    end = source.spans[i][1]
    follow = source.text[end : end + 1]
    return not follow or follow.isalnum() or follow.isspace() or follow in "'’"


def _kept(g: Gap, i: int, source: Tokens, draft: Tokens) -> bool:
    """Is the denial said again close by, in other words in the draft, or is it a false start said again?"""
    here = sum(1 for f in source.forms[max(0, g.a - NEGATION_NEAR) : g.b + NEGATION_NEAR] if f in NEGATIONS)
    there = sum(1 for f in draft.forms[max(0, g.c - NEGATION_NEAR) : g.d + NEGATION_NEAR] if f in NEGATIONS)
    if there >= here:
        return True
    return _again(source.code, i) and there > 0


def _again(code: str, i: int) -> bool:
    follow = code[i : i + 2]
    return code.count(follow, max(0, i - 8), i + 10) > 1


def changed(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Runs replaced by others that neither look nor sound like them: "term" for a name in Latin letters.

    Chinese words replaced so are "changed", which warns in most policies: without knowing what words mean, a new name
    and a synonym look the same.
    """
    found = []
    for k, g in enumerate(gaps):
        if g.b == g.a or g.d == g.c or g.alike >= ALIKE or max(g.b - g.a, g.d - g.c) > LONGEST_CHANGE:
            continue
        old, new = source.forms[g.a : g.b], draft.forms[g.c : g.d]
        if set(old) & set(new) or any(f[0] == NUMBER for f in old + new):
            continue
        weight = min(max(map(weight_of, old)), max(map(weight_of, new)))
        if weight >= NAMED_WEIGHT:
            calm = _distance(gaps, k) >= CALM
            kind = "term" if _renamed(g, source, draft, calm) else "changed"
            total = min(sum(map(weight_of, old)), sum(map(weight_of, new)))
            found.append(Segment(kind, total, g.a, g.b, g.c, g.d))
    return found


def _distance(gaps: Sequence[Gap], k: int) -> int:
    """Tokens to the nearest other gap: a recogniser's errors come in clusters."""
    before = gaps[k].a - gaps[k - 1].b if k else CALM
    after = gaps[k + 1].a - gaps[k].b if k + 1 < len(gaps) else CALM
    return min(before, after)


def _renamed(g: Gap, source: Tokens, draft: Tokens, calm: bool) -> bool:
    """Does a name in Latin letters stand where something of another sound stood?"""
    if max(g.b - g.a, g.d - g.c) > LONGEST_NAME or min(source.forms[g.a], draft.forms[g.c]) >= "\u3400":
        return False
    if not _name(draft, g.c, g.d):
        return False
    if _name(source, g.a, g.b):
        letters = Indel.normalized_similarity("".join(source.forms[g.a : g.b]), "".join(draft.forms[g.c : g.d]))
        return max(g.alike, letters) < NAME_ALIKE
    return calm and g.alike < UNNAMED_ALIKE


def _name(tokens: Tokens, a: int, b: int) -> bool:
    """Is there a capital that is not merely a sentence's first letter?"""
    start, end = tokens.span(a, b)
    before = tokens.text[:start][-3:].rstrip(" ")
    words = _LATIN_WORDS.findall(tokens.text[start:end])
    if not before or before[-1] in '.!?。！？\n"“':
        words = [w[1:] if k == 0 else w for k, w in enumerate(words)]
    return any(any(c.isupper() for c in w) for w in words)
