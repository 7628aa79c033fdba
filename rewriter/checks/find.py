"""Runs that were lost, invented, moved, doubled or changed, read off an alignment.

Whole-text ratios see truncation and nothing else, so the unit here is the local deficit: neighbouring gaps are added
up, what matched between them is taken off (maximum-scoring segment, after Kadane), and a segment counts by its
heaviest point. What a gap costs depends on what it held: content characters weigh 1, grammar less, discourse phrases
almost nothing, and tokens whose neighbours stand close by on the other side (stutters, false starts, merged repeats)
or turn up among the text inserted elsewhere (moved clauses) nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rewriter.checks import sound
from rewriter.checks.align import Op
from rewriter.checks.disfluency import EN_COURTESY, EN_DANGLING, EN_DISCOURSE, EN_LIGHT, UNITS, ZH_DISCOURSE, ZH_LIGHT
from rewriter.checks.normalise import NUMBER, PAUSE, STOP, Tokens

# Weights in content characters. A grammar word weighs half: with 0.6, 2 in 100 lost clauses fewer were missed and a
# fifth more good passages rejected, with 0.4 it was the other way round. Floor-holding phrases and courtesies weigh a
# little less (with 0.2 and 0.3 the same passages were rejected and more clauses missed). A unit written as a sign (five
# percent, 5 %) is hardly lost, a number is more than a character.
LIGHT_WEIGHT = 0.5
DISCOURSE_WEIGHT = 0.4
UNIT_WEIGHT = 0.1
NUMBER_WEIGHT = 1.5
# Letters of a word, and syllables of a Korean one, that weigh as much as one Chinese character.
LATIN_LETTERS, HANGUL_LETTERS = 4.5, 1.5
# Tokens on either side in which a pair of tokens said again is a stutter or a merged repeat: fully within NEAR, in part
# within FAR, and a pair of grammar words (of the, 的是), which turn up everywhere, only CLOSE by. One window of 20 for
# all missed 1.5 % more of the lost clauses at the same false rejects, one of 10 rejected a third more good passages.
CLOSE, NEAR, FAR = 4, 14, 20
FAR_CREDIT = 0.5
# Tokens of a run that is taken to have moved when it turns up among the text put in elsewhere.
TRAVELS = 3
# What a matched token between two gaps takes off their sum: chance matches inside a lost clause are short, kept text
# between two edits is long. Between 0.6 and 1.3 nothing much changes.
MATCH_CREDIT = 1.0
# Share of an inserted run's weight that makes up for a lost run at the same place, and what each replaced unit still
# costs. A paraphrase replaces like by like; a summary replaces much by little. With a credit of 0.7, half as many good
# passages again were rejected and no more damage was found.
REPLACE_CREDIT = 0.9
REPLACE_COST = 0.25
# The longest run compared by sound, in tokens: the cost grows with the square.
LONGEST_SOUND = 60
# A text to search at most this long is searched as it is; the runs of a longer one are collected first, so that the
# time does not grow with the square of a gap.
SHORT = 400
# A run that begins like the text after it can be aligned some tokens early or late.
SLIPS = (0, -1, 1, -2, 2)
# Share of a sentence's weight that must be new, and the new weight, for the sentence to count as put in. The shortest
# sentences of talks (One grand slam or something) weigh 3.4 to 3.7, courtesies that recognisers swallow up to 3.3.
SENTENCE_SHARE, SENTENCE_WEIGHT = 0.7, 3.4
# Tokens to either side of a run in which its sentence's ends are looked for.
LONGEST_SENTENCE = 80
# Brackets that hold notes, the longest note looked for, in code points, and how far from its bracket a lost run may
# begin where the alignment is off.
_OPEN, _CLOSE = "(（[【", ")）]】"
NOTE, NOTE_LEAD = 40, 6
# Share of a run's triples that the source has too, from which the run was said twice and not invented.
SAID_TWICE = 0.6
# Tokens on either side in which it is looked for: models repeat what they have just read.
TWICE_NEAR = 3000
# Tokens of the source that an inserted run took the place of, as a share of its own, from which it replaced them.
REPLACES = 0.5
# Tokens that stay as they are on one side of a clause that was cut out whole: where an editor rewrites, what is lost is
# part of the rewriting, and three quarters of such clauses in human rewrites stand where both sides were touched.
UNTOUCHED = 10
# What may stand in the place of a clause that was cut out whole, in content characters: one grammar word.
STUMP = 0.5
# Tokens to either side in which a transcript without any mark is taken to have no punctuation.
UNMARKED = 10
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

    @property
    def span(self) -> tuple[int, int, int, int]:
        """Its tokens on both sides."""
        return self.a, self.b, self.c, self.d


@dataclass(slots=True)
class Segment:
    """What was found: source[a:b] against draft[c:d], in tokens. `kind` is that of the finding to be.

    `place` tells more: where invented text stands ("edge", "tail", "sentence", "clause", "inner"), that lost text is a
    "note" in brackets or was a "clause" of its own, that doubled text stands "beside" itself or is a "slip", that what
    was put in made a "name" longer.
    """

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
    if form in EN_COURTESY:
        return DISCOURSE_WEIGHT
    if form in EN_LIGHT or form in EN_DISCOURSE:
        return LIGHT_WEIGHT
    letters = HANGUL_LETTERS if "\uac00" <= form[0] <= "\ud7a3" else LATIN_LETTERS
    return min(2.0, max(0.6, len(form) / letters))


def gaps_of(ops: Sequence[Op], source: Tokens, draft: Tokens) -> list[Gap]:
    """The unequal stretches with what each one cost."""
    gaps = [Gap(op.a, op.b, op.c, op.d) for op in ops if not op.equal]
    lost_text = _runs("\0".join(source.code[g.a : g.b] for g in gaps if g.b - g.a >= TRAVELS), TRAVELS)
    new_text = _runs("\0".join(draft.code[g.c : g.d] for g in gaps if g.d - g.c >= TRAVELS), TRAVELS)
    for g in gaps:
        _price(g, source, draft, lost_text, new_text)
    return gaps


def _runs(text: str, size: int) -> Container[str]:
    """Something that tells whether a run of `size` tokens occurs in `text`."""
    return text if len(text) <= SHORT else frozenset(text[i : i + size] for i in range(len(text) - size + 1))


def _price(g: Gap, source: Tokens, draft: Tokens, lost_text: Container[str], new_text: Container[str]) -> None:
    if g.b > g.a:
        held = _held(source, g.a, g.b, draft.code, g.c, g.d)
        g.lost = _unmatched(source, g.a, g.b, held, new_text)
    if g.d > g.c:
        held = _held(draft, g.c, g.d, source.code[g.a : g.b], 0, g.b - g.a) if g.b > g.a + 1 else []
        g.new = _unmatched(draft, g.c, g.d, held, lost_text)
    if g.lost and g.new:
        _replaced(g, source, draft)


def _replaced(g: Gap, source: Tokens, draft: Tokens) -> None:
    """A run replaced by one that sounds alike is a correction; else like makes up for like."""
    if max(g.b - g.a, g.d - g.c) <= LONGEST_SOUND:
        g.alike = sound.alike(source.forms[g.a : g.b], draft.forms[g.c : g.d])
        if g.alike >= sound.ALIKE:
            g.lost = g.new = 0.0
            return
    lost, new = g.lost, g.new
    both = REPLACE_COST * min(lost, new)
    g.lost = max(0.0, lost - REPLACE_CREDIT * new) + both
    g.new = max(0.0, new - REPLACE_CREDIT * lost) + both


def _unmatched(tokens: Tokens, a: int, b: int, held: list[float], elsewhere: Container[str]) -> float:
    """The weight of tokens[a:b] that is not `held` on the other side and does not turn up `elsewhere`."""
    if b - a == 1:
        weight = weight_of(tokens.forms[a])
        return weight * (1.0 - held[0]) if held else weight
    if b - a >= TRAVELS:
        for i in range(a, b - TRAVELS + 1):
            if tokens.code[i : i + TRAVELS] in elsewhere:
                held = held or [0.0] * (b - a)
                held[i - a : i - a + TRAVELS] = [1.0] * TRAVELS
    weights = _weights(tokens.code, tokens.forms, a, b)
    return sum([w * (1.0 - part) for w, part in zip(weights, held, strict=True)]) if held else sum(weights)


def _held(tokens: Tokens, a: int, b: int, other: str, c: int, d: int) -> list[float]:
    """How surely each of tokens[a:b] stands near other[c:d] too, beside the same neighbour: 1, FAR_CREDIT or 0.

    Empty where none does, as in most gaps.
    """
    code = tokens.code
    first = max(0, a - 1)
    far = _runs(other[max(0, c - FAR) : d + FAR], 2)
    if b - a == 1 < b < len(code) and code[a - 1 : b] not in far and code[a : b + 1] not in far:
        return []
    pairs = [code[i : i + 2] for i in range(first, min(len(code), b + 1) - 1)]
    hits = [pair in far for pair in pairs]
    if True not in hits:
        return []
    close, near = (_runs(other[max(0, c - n) : d + n], 2) for n in (CLOSE, NEAR))
    values = [0.0]
    for i, (pair, hit) in enumerate(zip(pairs, hits, strict=True), first):
        if not hit or pair in close:
            values.append(float(hit))
        elif weight_of(tokens.forms[i]) <= LIGHT_WEIGHT and weight_of(tokens.forms[i + 1]) <= LIGHT_WEIGHT:
            values.append(0.0)
        else:
            values.append(1.0 if pair in near else FAR_CREDIT)
    values.append(0.0)
    # Value k + 1 is that of the tokens first + k and the one after it.
    return list(map(max, values, values[1:]))[a - first : b - first]


def _weights(code: str, forms: list[str], a: int, b: int) -> list[float]:
    weights = [weight_of(f) for f in forms[a:b]]
    if b - a > 1:
        for m in ZH_DISCOURSE.finditer(code, a, b):
            for i in range(m.start(), m.end()):
                weights[i - a] = min(weights[i - a], DISCOURSE_WEIGHT)
    return weights


def bracketed(s: Segment, source: Tokens) -> bool:
    """Does what was lost stand in brackets ([music], （笑）)? A note of whoever transcribed, not said."""
    start, end = source.span(s.a, s.b)
    if end - start > NOTE:
        return False
    text = source.text
    before = max(text.rfind(c, max(0, start - NOTE), start) for c in _OPEN)
    opened = before if before >= 0 else _first(_OPEN, text, start, start + NOTE_LEAD)
    closed = _first(_CLOSE, text, opened, end + NOTE)
    return opened >= 0 and closed >= end - NOTE_LEAD


def _first(signs: str, text: str, start: int, end: int) -> int:
    """The first place of any of the signs, or -1."""
    return min((i for i in (text.find(c, start, end) for c in signs) if i >= 0), default=-1) if start >= 0 else -1


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


def cut_out(s: Segment, gaps: Sequence[Gap], source: Tokens, draft: Tokens, least: float) -> bool:
    """Does the segment hold a clause of at least this weight that was cut out whole, from pause to pause?

    Editors drop false starts and asides: those break off in the middle (So you fake a couple of), are courtesies, or
    stand among other changes. A clause that is gone from an untouched neighbourhood was lost.
    """
    first = bisect_left(gaps, s.a, key=lambda g: g.a)
    last = bisect_right(gaps, s.b, key=lambda g: g.b)
    return any(
        g.lost >= least
        and g.lost - _courtesy(source.forms[g.a : g.b]) >= least
        and sum(map(weight_of, draft.forms[g.c : g.d])) <= STUMP
        and source.forms[g.b - 1] not in EN_DANGLING
        and _beside_calm(gaps, k, len(source))
        and _from_pause_to_pause(g, source, draft)
        for k, g in enumerate(gaps[first:last], first)
    )


def _courtesy(forms: Sequence[str]) -> float:
    """The weight of words that hold the floor or are polite and are no grammar: yeah, sorry, thank."""
    words = EN_COURTESY | (EN_DISCOURSE - EN_LIGHT)
    return sum(weight_of(f) for f in forms if f in words)


def _beside_calm(gaps: Sequence[Gap], k: int, size: int) -> bool:
    """Did nothing change for a while before the gap, or after it? `size` is that of the source."""
    before = gaps[k].a - (gaps[k - 1].b if k else 0)
    after = (gaps[k + 1].a if k + 1 < len(gaps) else size) - gaps[k].b
    return max(before, after) >= UNTOUCHED


def _from_pause_to_pause(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Does a clause end in the draft where the gap is, and does the source, if punctuated, set off what went?"""
    for slip in SLIPS if g.c == g.d else SLIPS[:1]:
        a, b = g.a + slip, g.b + slip
        if a < 0 or b > len(source) or not _slides(source.code, g.a, g.b, slip):
            continue
        if draft.ends(g.c + slip, PAUSE) and draft.ends(g.d + slip, PAUSE):
            if source.ends(a, PAUSE) and source.ends(b, PAUSE):
                return True
            if not any(source.breaks[max(1, a - UNMARKED) : min(len(source), b + UNMARKED)]):
                return True
    return False


def _slides(code: str, a: int, b: int, by: int) -> bool:
    """Can code[a:b] be cut out `by` tokens later (earlier, if negative) and leave the same text?"""
    return code[a : a + by] == code[b : b + by] if by >= 0 else code[a + by : a] == code[b + by : b]


def doubled(segment: Segment, source: Tokens, draft: Tokens) -> bool:
    """Is most of what a segment invented said elsewhere in `source` already (a duplicate)?

    `source` may be the draft itself: then a run must stand there twice.
    """
    a, b = (segment.c, segment.d) if source is draft else (segment.a, segment.a)
    said = source.code[max(0, a - TWICE_NEAR) : b + TWICE_NEAR]
    runs = [draft.code[i : i + 3] for i in range(segment.c, min(segment.d, segment.c + TWICE_NEAR) - 2)]
    times = 2 if source is draft else 1
    return bool(runs) and sum(said.count(run) >= times for run in runs) >= SAID_TWICE * len(runs)


def place_of(s: Segment, gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> str:
    """Where invented text stands: at an "edge" of the draft, a "sentence" or a "clause" of its own, or "inner" to one.

    Editors put words into sentences; a model that goes on talking puts in sentences. One of which the source has a
    word or two by chance is still put in; one that took the place of another is not. A "tail" ends a sentence that the
    source leaves open: nobody knows how it went on.
    """
    if s.a == s.b == len(source) and s.d == len(draft) and source.text.rstrip()[-1:].isalnum():
        return "tail"
    if s.a == s.b and (s.c == 0 or s.d == len(draft)) and _bounded(s, draft, PAUSE):
        return "edge"
    if s.b - s.a < REPLACES * (s.d - s.c):
        if _bounded(s, draft, STOP):
            return "sentence"
        new = _put_in(s, gaps)
        if any(_mostly(s, new, a, b, draft) for a, b in _sentences(s, draft)):
            return "sentence"
    return "clause" if _bounded(s, draft, PAUSE) else "inner"


def _put_in(s: Segment, gaps: Sequence[Gap]) -> set[int]:
    """The tokens of the segment that the alignment found nowhere in the source."""
    first = bisect_right(gaps, s.c, key=lambda g: g.d)
    last = bisect_left(gaps, s.d, key=lambda g: g.c)
    return {i for g in gaps[first:last] for i in range(max(g.c, s.c), min(g.d, s.d))}


def _bounded(s: Segment, draft: Tokens, mark: int) -> bool:
    return any(draft.ends(s.c + slip, mark) and draft.ends(s.d + slip, mark) for slip in SLIPS)


def _sentences(s: Segment, draft: Tokens) -> list[tuple[int, int]]:
    """The sentences of the draft that the segment touches, in tokens; overlong ones are cut."""
    low, high = max(0, s.c - LONGEST_SENTENCE), min(len(draft), s.d + LONGEST_SENTENCE)
    start = max(low, draft.breaks.rfind(STOP, low, s.c + 1))
    end = draft.breaks.find(STOP, s.d, high)
    end = end if end >= 0 else high
    stops = [i for i in range(start + 1, end) if draft.breaks[i] == STOP]
    return list(pairwise([start, *stops, end]))


def _mostly(s: Segment, new: set[int], a: int, b: int, draft: Tokens) -> bool:
    """Is draft[a:b] new for the most part, and not a sentence of the source said otherwise?"""
    weights = [(weight_of(draft.forms[i]), i in new) for i in range(a, b)]
    put_in = min(s.weight, sum(w for w, fresh in weights if fresh))
    return put_in >= SENTENCE_WEIGHT and put_in >= SENTENCE_SHARE * sum(w for w, _ in weights)
