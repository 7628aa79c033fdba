"""Numbers must survive one by one, in number and in place.

They are looked for in the gaps of the alignment, so that each is compared in its place; one that stands close by on
the other side (a stutter, a moved phrase) has survived.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rewriter.checks import sound
from rewriter.checks.disfluency import ZH_LIGHT
from rewriter.checks.find import LIGHT_WEIGHT, Gap, Segment, weight_of
from rewriter.checks.normalise import NUMBER, Tokens
from rewriter.checks.numbers import ZH_NUMERALS, chinese

# Tokens on either side of a gap in which a number may have moved.
NEAR = 12
# What may have gone, and what may have come, along with a number, in content characters, for the number still to
# count as lost or changed alone. A recogniser that misheard a whole stretch misheard the numbers in it too.
COMPANY_LOST, COMPANY_NEW = 1.5, 2.5
# The same where the number stands first on both sides, beside what stayed: what follows it went for other reasons.
HEADED_LOST, HEADED_NEW = 6.0, 4.0
# The same number said again within so many tokens is a stutter or a correction.
REPEAT = 3
# From this many digits on, trailing zeros are a scale (million) and not compared.
LONG_NUMBER = 5
# Digits of a long number's beginning by which it is the same number cut short, among Chinese characters. Recognisers
# of English leave less of it (80 million for 83 million).
LONG_PREFIX = 2
# Digits of a year, which recognisers shorten (2020 to 202) like no other number.
YEAR = 4
# So many pairs of an old and a new number are looked at; a gap with more of them is no slip of a recogniser.
PAIRS = 64
# What a number weighs in a finding: enough to be told where it does not reject.
WEIGHT = 1.5
MEASURES = frozenset("个")
TIMES = frozenset("年月日号点时分秒")
# What a single numeral belongs to: 周五, 第三, 星期六.
_COUNTED = frozenset("周週第期拜")
# Words that recognisers write as numbers.
HOMOPHONES = {"#1": ("won", "and"), "#2": ("to", "too", "the"), "#4": ("for",), "#8": ("ate",)}
# 公平两个字, 这三个字: counts the characters of the word before it.
_COUNTED_WORD = re.compile("[二两三四五六七八]个?字")
_TAKEN_BACK = re.compile(
    r"\w{0,2}[\s,，.。]*(?:sorry|no,|not |i mean|rather|不对|不是|错了|说错|抱歉|哦不|啊不)", re.IGNORECASE
)
_SCALES = frozenset(f"{NUMBER}{10**k}" for k in (2, 3, 4, 6, 8, 9, 12))
_NUMERALS = re.compile(rf"[{ZH_NUMERALS}]+|[0-9]+")


def numbers(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Numbers of the source that the draft no longer has in their place.

    One that went alone, or was replaced alone, is "number"; one that went with other words is "number?".
    """
    found = []
    for g in gaps:
        lost = [i for i in range(g.a, g.b) if source.forms[i][0] == NUMBER]
        if lost:
            found += _numbers_of(g, lost, source, draft)
    return found


def _numbers_of(g: Gap, lost: list[int], source: Tokens, draft: Tokens) -> list[Segment]:
    here = [f for f in draft.forms[g.c : g.d] if f[0] == NUMBER]
    lost, here = _ungrouped(lost, here, source)
    old = [source.forms[i] for i in lost]
    gone = _gone(g, lost, here, source, draft)
    if not gone or _same_digits(old, here) or _stutter(g, lost, source, draft):
        return []
    english = any(f < "\u3400" for f in source.forms[max(0, g.a - 1) : g.a] + source.forms[g.b : g.b + 1])
    cut_short = len(old) * len(here) <= PAIRS and any(_grown(o, n, english) for o in old for n in here)
    excused = cut_short or _slight(lost, here, source) or _taken_back(lost[-1], source)
    overwritten = _unscaled(old, here) or _zeroed(g, lost, source, draft)
    certain = overwritten or (_alone(g, source, draft) and not excused)
    kind = "number" if certain else "number?"
    return [Segment(kind, WEIGHT * (b - a), a, b, g.c, g.d) for a, b in _runs(gone)]


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Neighbouring tokens taken together: one finding for a run of numbers."""
    runs: list[tuple[int, int]] = []
    for i in places:
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def _gone(g: Gap, lost: list[int], here: list[str], source: Tokens, draft: Tokens) -> list[int]:
    """Numbers that the draft does not have as often as they were said, a repeat within a few words counted once.

    Where the draft has a number that the source does not, one that is said twice close by (three, three of them) has
    not survived by the other.
    """
    around = source.forms[max(0, g.a - NEAR) : g.b + NEAR]
    said = _said(around)
    near = Counter(draft.forms[max(0, g.c - NEAR) : g.d + NEAR])
    for word in ("一", "one", "a"):
        if word in near:
            near["#1"] = max(near["#1"], said["#1"])
    new = any(f not in said for f in here)
    return [i for i in lost if near[source.forms[i]] < said[source.forms[i]] or (new and source.forms[i] not in here)]


def _said(forms: list[str]) -> Counter[str]:
    """How often each number is said, repeats within a few words left out."""
    said: Counter[str] = Counter()
    last: dict[str, int] = {}
    for i, form in enumerate(forms):
        if form[0] == NUMBER:
            before = last.get(form, -REPEAT - 1)
            said[form] += i - before > REPEAT or _units(forms[before + 1 : before + 2], forms[i + 1 : i + 2])
            last[form] = i
    return said


def _units(left: list[str], right: list[str]) -> bool:
    """5月5日: are these two different parts of a date or time?"""
    return left != right and TIMES.issuperset(left + right)


def _slight(lost: list[int], here: list[str], source: Tokens) -> bool:
    """A bare 三 or 五 before a pronoun or particle is a false start; before a noun or measure it counts something."""
    start, end = source.span(lost[0], lost[-1] + 1)
    said, follow = source.text[start:end], source.forms[lost[-1] + 1 : lost[-1] + 2]
    if here or len(said) != 1 or said.isdigit() or not follow or source.text[start - 1 : start] in _COUNTED:
        return False
    return follow[0] in ZH_LIGHT - MEASURES or _COUNTED_WORD.match(source.text, start) is not None


def _taken_back(last: int, source: Tokens) -> bool:
    """In May 2003, sorry: does the speaker take the number back in the next breath?"""
    end = source.end(last)
    return _TAKEN_BACK.match(source.text, end) is not None


def _same_digits(left: list[str], right: list[str]) -> bool:
    """Two five against 25, 3.5 against 3 5: the same digits, grouped otherwise."""
    digits = [
        "".join(f[1:].replace(".", "").replace(":", "") for f in side if f not in _SCALES) for side in (left, right)
    ]
    digits = [d.replace("0", "") for d in digits]
    timed = any(":" in f for f in left + right)
    return (timed or len(left) + len(right) > 2) and bool(right) and digits[0] == digits[1]


def _ungrouped(lost: list[int], here: list[str], source: Tokens) -> tuple[list[int], list[str]]:
    """The numbers of either side that were not only grouped otherwise: 9 and 4 of 9th, 20 20 and 4th, 2020."""
    for k in range(len(lost) - 1):
        joined = NUMBER + source.forms[lost[k]][1:] + source.forms[lost[k + 1]][1:]
        if joined in here and len(lost) > 2 and len(lost) <= PAIRS:
            at = here.index(joined)
            return _ungrouped([*lost[:k], *lost[k + 2 :]], [*here[:at], *here[at + 1 :]], source)
    return lost, here


def _unscaled(old: list[str], new: list[str]) -> bool:
    """305 million became 305, 5.1 million became million: the amount or its scale was left out."""
    if len(old) != 1 or len(new) != 1:
        return False
    if new[0] in _SCALES and new[0] != old[0]:
        return len(old[0]) >= len(new[0])
    digits = [f[1:].replace(".", "").rstrip("0") for f in (old[0], new[0])]
    return digits[0] == digits[1] and len(old[0]) - len(new[0]) >= 2


def _zeroed(g: Gap, lost: list[int], source: Tokens, draft: Tokens) -> bool:
    """9077 became 0077: not cut short, since as many digits are written."""
    if len(lost) != 1:
        return False
    old = source.text[slice(*source.span(lost[0], lost[0] + 1))]
    new = [draft.text[slice(*draft.span(i, i + 1))] for i in range(g.c, g.d) if draft.forms[i][0] == NUMBER]
    return len(new) == 1 and new[0][0] == "0" != old[0] and len(new[0]) == len(old) and (old + new[0]).isdigit()


def _grown(old: str, new: str, english: bool) -> bool:
    """Is one number the other with digits missing at an end (2025 and 25, 9 and 1.9)? Recognisers cut numbers short.

    A model that changes a number puts in other digits.
    """
    old, new = old[1:], new[1:]
    if len(new) >= len(old) + 3 and old.replace(".", "").rstrip("0") == new.rstrip("0"):
        return True  # 8.1 man for 8.1 million
    least = 1
    if len(old) >= LONG_NUMBER and len(new) >= LONG_NUMBER:
        least = 1 if english else LONG_PREFIX
        old, new = old.rstrip("0"), new.rstrip("0")
        if old == new:
            return True
    long, short = (new, old) if len(new) > len(old) else (old, new)
    if old.rstrip("0") == new.rstrip("0") and len(old) != YEAR:
        return False
    if len(old) == len(new) + 1 > YEAR and any(old[:i] + old[i + 1 :] == new for i in range(len(old))):
        return True  # 20414 for 2014: a digit too many
    return len(long) > len(short) >= least and (long.startswith(short) or long.endswith(short))


def _stutter(g: Gap, lost: list[int], source: Tokens, draft: Tokens) -> bool:
    """十十九 became 十九, 五五 became 五, 几万好几百万 became 好几百万: what went is begun again in what stayed."""
    old = source.text[slice(*source.span(lost[0], lost[-1] + 1))]
    near = draft.forms[max(0, g.c - 1) : g.d + 1]
    if len(old) > 1 and len(set(old)) == 1:
        value = chinese(old[0]) if old[0] in ZH_NUMERALS else old[0]
        return f"{NUMBER}{value}" in near or old[0] in near
    if _begun_again(old, g, source, draft):
        return True
    window = draft.text[slice(*draft.span(max(0, g.c - 1), min(len(draft), g.d + 1)))] if len(draft) else ""
    plain = _squeezed(old)
    return any(
        (old.endswith(new) and old[: -len(new)] in new) or (len(new) < len(old) and plain == _squeezed(new))
        for new in set(_NUMERALS.findall(window))
    )


def _begun_again(old: str, g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Does a numeral that begins like the one that went (a Chinese one) follow within a few words, and did it stay?"""
    if not old or old[0].isascii():
        return False
    after = [i for i in range(g.b, min(len(source), g.b + REPEAT)) if source.forms[i][0] == NUMBER]
    if not after or source.forms[after[0]] not in draft.forms[g.c : g.d + REPEAT]:
        return False
    return source.text[source.start(after[0])] == old[0]


def _squeezed(numeral: str) -> str:
    return "".join(c for i, c in enumerate(numeral) if i == 0 or c != numeral[i - 1])


def _alone(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Did nothing but numbers, their units and a word or two change here?"""
    words = [f for f in source.forms[g.a : g.b] if f[0] != NUMBER]
    new = [f for f in draft.forms[g.c : g.d] if f[0] != NUMBER]
    if 0 < len(words) == len(new) < g.d - g.c and sound.alike(words, new) >= sound.ALIKE:
        return True  # the rest was only corrected: 小小1G became 校校9G
    most = (HEADED_LOST, HEADED_NEW) if _heads(g, source, draft) else (COMPANY_LOST, COMPANY_NEW)
    light = sum(map(weight_of, words)) <= most[0] and sum(map(weight_of, new)) <= most[1]
    return light and not (new and len(new) == g.d - g.c and _misheard(g, source, draft))


def _heads(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Do one number and quite another head what went and what came (Episode 77. What is it, and Episode 37)?"""
    if source.forms[g.a][0] != NUMBER or not any(f[0] == NUMBER for f in draft.forms[g.c : min(g.c + 2, g.d)]):
        return False
    old, new = ([f for f in side if f[0] == NUMBER] for side in (source.forms[g.a : g.b], draft.forms[g.c : g.d]))
    return len(old) == len(new) == 1 and old[0].rstrip("0") != new[0].rstrip("0")


def _misheard(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Words stand where the number stood: did they come for it?

    In Chinese they do where they sound like it (五六 for 物流). English recognisers write numbers for words of all
    kinds (2 % of human corrections on their output put words for a number): a content word there is enough.
    """
    words = [f for f in source.forms[g.a : g.b] if f[0] != NUMBER]
    new = draft.forms[g.c : g.d]
    if all(f < "\u3400" for f in (*words, *new)):
        heard = {word for i in range(g.a, g.b) for word in HOMOPHONES.get(source.forms[i], ())}
        fresh = [f for f in new if f not in words]
        return not heard.isdisjoint(fresh) or any(weight_of(f) > LIGHT_WEIGHT for f in fresh)
    said = source.text[slice(*source.span(g.a, g.b))]
    if any((c.isascii() and c.isdigit()) or c == "几" for c in said):
        return False
    whole = sound.alike(list(said), new)
    return whole >= sound.ALIKE and whole > (sound.alike(words, new) if words else 0.0)
