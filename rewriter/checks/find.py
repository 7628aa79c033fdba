"""Runs that were lost, invented, moved, doubled or changed, read off an alignment.

Whole-text ratios see truncation and nothing else, so the unit here is the local deficit: neighbouring gaps are added
up, what matched between them is taken off (maximum-scoring segment, after Kadane), and a segment counts by its
heaviest point. What a gap costs depends on what it held: content characters weigh 1, grammar less, discourse phrases
almost nothing, and tokens whose neighbours stand close by on the other side (stutters, false starts, merged repeats)
or turn up among the text inserted elsewhere (moved clauses) nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rewriter.checks import sound
from rewriter.checks.align import Op
from rewriter.checks.disfluency import EN_DISCOURSE, EN_LIGHT, UNITS, ZH_DISCOURSE, ZH_LIGHT
from rewriter.checks.normalise import NUMBER, Tokens

LIGHT_WEIGHT = 0.5
DISCOURSE_WEIGHT = 0.4
UNIT_WEIGHT = 0.1
NUMBER_WEIGHT = 1.5
LATIN_LETTERS = 4.5  # letters of a Latin word that weigh as much as one Chinese character
# Tokens on either side in which a repetition is taken for a stutter or a merged repeat.
NEAR = 20
# What a matched token between two gaps takes off their sum: chance matches inside a lost clause are short, kept text
# between two edits is long.
MATCH_CREDIT = 0.8
# Share of an inserted run's weight that makes up for a lost run at the same place, and what each replaced unit still
# costs. A paraphrase replaces like by like; a summary replaces much by little.
REPLACE_CREDIT = 0.9
REPLACE_COST = 0.25
# From this share of matching letters of their sound, two runs are the same words heard differently.
ALIKE = 0.6
# A run that begins like the text after it can be aligned some tokens early or late.
SLIPS = (0, -1, 1, -2, 2)
_STOP = re.compile(r"[.!?。！？\n]")
# Segments below this weight are not worth a finding in any policy.
FLOOR = 1.5


@dataclass(slots=True)
class Gap:
    """Unequal stretch: source[a:b] against draft[c:d], what it lost and what it invented."""

    a: int
    b: int
    c: int
    d: int
    lost: float = 0.0
    new: float = 0.0
    alike: float = 0.0


@dataclass(slots=True)
class Segment:
    """Neighbouring gaps taken together. `kind` is lost, invented, changed, moved or duplicate; offsets are tokens."""

    kind: str
    weight: float
    a: int
    b: int
    c: int
    d: int
    place: str = "inner"


@lru_cache(maxsize=65536)
def weight_of(form: str) -> float:
    """How much one token means, in content characters."""
    if form[0] == NUMBER:
        return NUMBER_WEIGHT
    if form in UNITS:
        return UNIT_WEIGHT
    if len(form) == 1 and form >= "\u0e00":
        return LIGHT_WEIGHT if form in ZH_LIGHT else 1.0
    if form in EN_LIGHT or form in EN_DISCOURSE:
        return LIGHT_WEIGHT
    return min(2.0, max(0.6, len(form) / LATIN_LETTERS))


def gaps_of(ops: Sequence[Op], source: Tokens, draft: Tokens) -> list[Gap]:
    """The unequal stretches with what each one cost."""
    gaps = [Gap(op.a, op.b, op.c, op.d) for op in ops if not op.equal]
    lost_text = "\0".join(source.code[g.a : g.b] for g in gaps)
    new_text = "\0".join(draft.code[g.c : g.d] for g in gaps)
    for g in gaps:
        _price(g, source, draft, lost_text, new_text)
    return gaps


def _price(g: Gap, source: Tokens, draft: Tokens, lost_text: str, new_text: str) -> None:
    if g.b > g.a:
        near = draft.code[max(0, g.c - NEAR) : g.d + NEAR]
        g.lost = _unmatched(source, g.a, g.b, near, new_text)
    if g.d > g.c:
        g.new = _unmatched(draft, g.c, g.d, source.code[g.a : g.b], lost_text)
    if g.lost and g.new:
        _replaced(g, source, draft)


def _replaced(g: Gap, source: Tokens, draft: Tokens) -> None:
    """A run replaced by one that sounds alike is a correction; else like makes up for like."""
    if max(g.b - g.a, g.d - g.c) <= 60:
        g.alike = sound.alike(source.forms[g.a : g.b], draft.forms[g.c : g.d])
        if g.alike >= ALIKE:
            g.lost = g.new = 0.0
            return
    lost, new = g.lost, g.new
    both = REPLACE_COST * min(lost, new)
    g.lost = max(0.0, lost - REPLACE_CREDIT * new) + both
    g.new = max(0.0, new - REPLACE_CREDIT * lost) + both


def _unmatched(tokens: Tokens, a: int, b: int, near: str, elsewhere: str) -> float:
    """The weight of tokens[a:b] that `near` and `elsewhere` do not hold in the same company."""
    code, forms = tokens.code, tokens.forms
    weights = _weights(code, forms, a, b)
    total = 0.0
    first, last = max(0, a - 1), min(len(code), b + 1)
    hit = False
    for i in range(a, b):
        after = i + 1 < last and code[i : i + 2] in near
        near_by = after or hit or (i > first and code[i - 1 : i + 1] in near)
        if not near_by and not _travelled(code, i, a, b, elsewhere):
            total += weights[i - a]
        hit = after
    return total


def _travelled(code: str, i: int, a: int, b: int, elsewhere: str) -> bool:
    """Is the token part of a run of three that turns up elsewhere?"""
    return any(s >= a and s + 3 <= b and code[s : s + 3] in elsewhere for s in (i - 2, i - 1, i))


def _weights(code: str, forms: list[str], a: int, b: int) -> list[float]:
    weights = [weight_of(f) for f in forms[a:b]]
    if b - a > 1:
        for m in ZH_DISCOURSE.finditer(code, a, b):
            for i in range(m.start(), m.end()):
                weights[i - a] = min(weights[i - a], DISCOURSE_WEIGHT)
    return weights


def segments(gaps: Sequence[Gap], kind: str) -> list[Segment]:
    """Gaps added up into segments by what they lost (`kind` "lost") or invented (`kind` "invented")."""
    found: list[Segment] = []
    score = best = 0.0
    start = peak = 0
    for k, g in enumerate(gaps):
        cost = g.lost if kind == "lost" else g.new
        if k:
            score -= MATCH_CREDIT * (g.a - gaps[k - 1].b)
        if score <= 0:
            if best >= FLOOR:
                found.append(_segment(kind, best, gaps[start], gaps[peak]))
            score, best, start, peak = 0.0, 0.0, k, k
        score += cost
        if score > best:
            best, peak = score, k
    if best >= FLOOR:
        found.append(_segment(kind, best, gaps[start], gaps[peak]))
    return found


def _segment(kind: str, weight: float, first: Gap, last: Gap) -> Segment:
    return Segment(kind, weight, first.a, last.b, first.c, last.d)


def doubled(segment: Segment, source: Tokens, draft: Tokens) -> bool:
    """Is most of what a segment invented said elsewhere in the source already (a duplicate)?"""
    code = draft.code[segment.c : segment.d]
    runs = [code[i : i + 3] for i in range(len(code) - 2)]
    return bool(runs) and sum(run in source.code for run in runs) >= 0.6 * len(runs)


def place_of(s: Segment, draft: Tokens) -> str:
    """Where invented text stands: at an "edge" of the draft, as a "sentence" of its own, or "inner" to one.

    Editors put words into sentences; a model that goes on talking puts in sentences.
    """
    if s.a == s.b and (s.c == 0 or s.d == len(draft)):
        return "edge"
    starts = any(_stops(draft, s.c + slip) and _stops(draft, s.d + slip) for slip in SLIPS)
    return "sentence" if starts else "inner"


def _stops(draft: Tokens, i: int) -> bool:
    """Does a sentence end between tokens i - 1 and i?"""
    if i <= 0 or i >= len(draft):
        return True
    return _STOP.search(draft.text, draft.spans[i - 1][1], draft.spans[i][0]) is not None
