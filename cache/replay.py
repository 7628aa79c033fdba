"""Carry the differences between a stored source and a new one into the stored rewrite, exactly or not at all.

A similar passage's answer is never right as it stands: it has the other passage's words in it. So each stretch of words
that differs is looked up in the stored rewrite, where it has to stand word for word, with the same words beside it and
nothing rewritten near it, and is replaced there by the new source's words. A pause that differs is carried likewise.
Whatever is not understood is refused, and the passage goes to the model. A number, name, negation or unit that differs
is therefore either carried or refused; that no wrong one is served does not rest on the guard, which judges the result
besides.

The alignments are Levenshtein's over tokens (rapidfuzz).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from .words import PAUSES, STOPS, Words

# Tokens (a Chinese character, a word) of one difference, and of all together as a part of the source. A word, a name
# or a short phrase can be carried as it was said; a longer stretch would stand unrewritten in a rewrite.
LONGEST = 12
MOST, MOST_PART = 12, 0.2
# All together as a part of a short source. Of 144 passages whose like was never seen, 8 were carried over whole from
# one that an index of meanings proposed, word for word and mishearings included; with this, none.
SHORT_PART = 1 / 3
# Tokens that must stand unedited between a difference and anything the model changed, one more than it is long for a
# deletion: what was dropped as a repetition of its neighbour may be none once the neighbour differs.
CLEAR = 2
# Tokens on either side of a pause within which a negation makes it count: 不，能用 is not 不能用.
NEAR = 3

# Sounds that carry nothing; 啊, 吧, 呢 do (they make questions and moods) and so do 那个, like, you know.
HESITATIONS = frozenset({"嗯", "呃", "um", "uh", "uhm", "umm", "uhh"})
# What a model drops from between words without touching them, as tokens each with a space after it. Only used to see
# which words still stand side by side.
FILLERS = re.compile(
    r"(?:(?:嗯|呃|啊|哦|哎|呀|哈|额|诶|呢|嘛|吧|那 个|这 个|就 是 说|就 是|然 后|的 话"
    r"|um|uh|uhm|umm|uhh|you know|i mean|like|so|well|okay) )+"
)
# Of these, the ones that never are part of a word beside them.
LIGHT = HESITATIONS | frozenset("啊哦哎呀哈额诶呢嘛吧")
# A word that differs must be none that the model dropped or added elsewhere: a name said twice and written once, or put
# in for a pronoun, would go with the other name then. These are too common to tell anything.
COMMON = frozenset("的了是个一就也都在有这那") | {"the", "a", "of", "to", "and", "in", "is", "it", "that"}
NEGATIONS = frozenset("不没沒别別未无無非否勿莫") | frozenset(
    {"no", "not", "none", "never", "nor", "neither", "nothing", "nobody", "nowhere", "without", "cannot"}
)
NUMERALS = frozenset("零〇一二三四五六七八九十百千万亿兆两") | frozenset(
    {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "thirty"}
    | {"forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million", "billion"}
)
# Words after which a speaker takes back what was said; a change of them changes what the words before are worth.
CUES = re.compile(
    r"(?<!对)不对|(?<!是)不是|说错|更正|应该是|我是说|口误|\bi mean\b|\bsorry\b|\brather\b|\bwait\b|\bcorrection\b",
    re.I,
)
# Before a hesitation, these make it an answer that is quoted: 他说嗯.
SAYS = frozenset("说說问問答回应應") | {"said", "says", "answered", "like"}


class Refused(Exception):
    """A difference that is not understood; the message says which."""


@dataclass(frozen=True)
class Hunk:
    """Tokens [a, b) of the old source that are tokens [c, d) in the new one."""

    a: int
    b: int
    c: int
    d: int


@dataclass
class _Edits:
    """What becomes of the stored rewrite: token ranges and gaps of it, and their new text."""

    tokens: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    gaps: dict[int, str] = field(default_factory=dict)
    dropped: int = 0

    def gap(self, k: int, text: str) -> None:
        if self.gaps.setdefault(k, text) != text:
            raise Refused("two differences meet at one place")


def carry(source: str, rewrite: str, new: str, *, drops_hesitations: bool) -> str:
    """The rewrite of `new`, made from that of `source`. Raises Refused.

    `drops_hesitations`: the style leaves out 嗯 and um, so one that `new` has more is no loss.
    """
    old, now, done = Words.of(source), Words.of(new), Words.of(rewrite)
    hunks = _hunks(old.tokens, now.tokens)
    _small_enough(hunks, len(old.tokens))
    path = Path(old, done)
    edits = _Edits()
    for hunk in hunks:
        _carry_hunk(hunk, old, now, path, edits, drops_hesitations)
    for k, c in _equal_gaps(hunks, old, now):
        _carry_gap(k, c, old, now, path, edits)
    text = _apply(done, edits)
    _verify(old, now, done, Words.of(text), edits)
    return text


def _hunks(old: tuple[str, ...], now: tuple[str, ...]) -> list[Hunk]:
    """The differences, neighbouring ones as one."""
    hunks: list[Hunk] = []
    for op in Levenshtein.opcodes(old, now):
        if op.tag == "equal":
            continue
        if hunks and hunks[-1].b == op.src_start and hunks[-1].d == op.dest_start:
            last = hunks.pop()
            hunks.append(Hunk(last.a, op.src_end, last.c, op.dest_end))
        else:
            hunks.append(Hunk(op.src_start, op.src_end, op.dest_start, op.dest_end))
    return hunks


def _small_enough(hunks: list[Hunk], tokens: int) -> None:
    sizes = [max(h.b - h.a, h.d - h.c) for h in hunks]
    most = min(max(MOST, tokens * MOST_PART), tokens * SHORT_PART)
    if any(size > LONGEST for size in sizes) or sum(sizes) > most:
        raise Refused("the sources differ by too much")


def _equal_gaps(hunks: list[Hunk], old: Words, now: Words) -> Iterable[tuple[int, int]]:
    """Gaps (k of the old source, c of the new) that differ and touch no hunk; those at a hunk's edge are its own."""
    a = c = -1  # the gap before the first token touches no hunk before it
    for hunk in [*hunks, Hunk(len(old.tokens) + 1, 0, 0, 0)]:
        for n in range(1, hunk.a - a):
            if old.gaps[a + n] != now.gaps[c + n]:
                yield a + n, c + n
        a, c = hunk.b, hunk.d


# --- where the old source's words stand in the rewrite ---------------------------------------------------------------


class Path:
    """Which token of the rewrite is which token of the source, and what the model changed between."""

    def __init__(self, old: Words, done: Words) -> None:
        self.old, self.done = old, done
        self.to: list[int | None] = [None] * len(old.tokens)
        self.changes = _hunks(old.folded, done.folded)
        a = c = 0
        for change in [*self.changes, Hunk(len(old.tokens), 0, 0, 0)]:
            for n in range(change.a - a):
                self.to[a + n] = c + n
            a, c = change.b, change.d
        self.silent = [self._is_filler(h) for h in self.changes]
        self.skipped = {
            k for h, silent in zip(self.changes, self.silent, strict=True) if silent for k in range(h.a, h.b)
        }

        self.moved = {
            word
            for h, silent in zip(self.changes, self.silent, strict=True)
            if not silent
            for word in (*old.folded[h.a : h.b], *done.folded[h.c : h.d])
        } - COMMON

    def _is_filler(self, hunk: Hunk) -> bool:
        return hunk.c == hunk.d and bool(FILLERS.fullmatch(" ".join(self.old.folded[hunk.a : hunk.b]) + " "))

    def same_change(self, hunk: Hunk, now: Words) -> bool:
        """Whether the model made of the old words just what the new source has: a typo mended, a filler dropped."""
        new = now.tokens[hunk.c : hunk.d]
        return any((h.a, h.b) == (hunk.a, hunk.b) and self.done.tokens[h.c : h.d] == new for h in self.changes)

    def clear(self, hunk: Hunk) -> bool:
        """Whether nothing was rewritten near a stretch of the source, fillers left out apart."""
        for change, silent in zip(self.changes, self.silent, strict=True):
            if silent and LIGHT.issuperset(self.old.folded[change.a : change.b]):
                continue
            if silent or change.a == change.b:
                reach = 1  # 那个 is no filler in 那三个; or the model only put something in
            else:
                reach = max(CLEAR, 1 + change.b - change.a) if change.c == change.d else CLEAR
            if change.a - reach < hunk.b and hunk.a < change.b + reach:
                return False
        return True

    def before(self, k: int) -> int:
        """The place in the rewrite after the last token that stands before the source's token k."""
        k -= 1
        while k >= 0 and k in self.skipped:
            k -= 1
        if k < 0:
            return 0
        place = self.to[k]
        if place is None:
            raise Refused("the words before the difference were rewritten")
        return place + 1

    def after(self, k: int) -> int:
        """The place in the rewrite of the first token that stands at or after the source's token k."""
        while k < len(self.to) and k in self.skipped:
            k += 1
        if k == len(self.to):
            return len(self.done.tokens)
        place = self.to[k]
        if place is None:
            raise Refused("the words after the difference were rewritten")
        return place

    def between(self, a: int, b: int) -> tuple[int, int]:
        """Tokens of the rewrite that stand for tokens [a, b) of the source, word for word."""
        start, end = self.before(a), self.after(b)
        if end - start != b - a:
            raise Refused("the words that differ do not stand in the rewrite as they were said")
        return start, end


# --- words -----------------------------------------------------------------------------------------------------------


def _carry_hunk(hunk: Hunk, old: Words, now: Words, path: Path, edits: _Edits, drops: bool) -> None:
    new = now.tokens[hunk.c : hunk.d]
    if path.same_change(hunk, now):
        _same_edges(hunk, old, now, path, edits)
        return
    if drops and hunk.a == hunk.b and _only_hesitates(hunk, now):
        _hesitation_parts_nothing(hunk, now)
        edits.dropped += len(new)
        return
    _no_stutter(hunk, now)
    _no_cue(hunk, old, now)
    if not path.clear(hunk):
        raise Refused("the model rewrote what stands beside the difference")
    if not path.moved.isdisjoint(old.folded[hunk.a : hunk.b]):
        raise Refused("the model dropped or added the word that differs in another place")
    start, end = path.between(hunk.a, hunk.b)
    if hunk.a == hunk.b:
        _insert(hunk, old, now, path, start, edits)
    elif hunk.c == hunk.d:
        _delete(hunk, old, now, path, start, end, edits)
    else:
        _replace(hunk, old, now, path, start, end, edits)


def _same_edges(hunk: Hunk, old: Words, now: Words, path: Path, edits: _Edits) -> None:
    """The marks around words that the rewrite has as the new source has them."""
    start, end = path.before(hunk.a), path.after(hunk.b)
    if hunk.c < hunk.d:
        _carry_gap(hunk.a, hunk.c, old, now, path, edits, start)
        _carry_gap(hunk.b, hunk.d, old, now, path, edits, end)
        return
    there, meant = path.done.gaps[start], now.gaps[hunk.c]
    if there == meant or (there.strip() == meant.strip() and not _counts(hunk.c, now)):
        return
    if there and there in (old.gaps[hunk.a], old.gaps[hunk.b]) and _only_pauses(there + meant):
        edits.gap(start, now.raw_gap(hunk.c))
    elif _counts(hunk.c, now) or not _only_pauses(there + meant) or (there and not meant) or _stops(meant):
        raise Refused("the rewrite has another mark where words are gone")


def _only_hesitates(hunk: Hunk, now: Words) -> bool:
    """Whether the new words are 嗯 or um and no answer: not a sentence of their own, not what somebody said."""
    words = now.tokens[hunk.c : hunk.d]
    if not all(t in HESITATIONS or (t.istitle() and t.lower() in HESITATIONS) for t in words):
        return False
    closed = set(now.gaps[hunk.c] + now.gaps[hunk.d]) - PAUSES - {" "}
    return not closed and not (hunk.c and now.folded[hunk.c - 1] in SAYS) and hunk.d < len(now.tokens)


def _hesitation_parts_nothing(hunk: Hunk, now: Words) -> None:
    """Between two numbers, or with a pause beside a negation, a hesitation may part what was one: 三五, 三，嗯，五."""
    around = now.folded[max(0, hunk.c - 1) : hunk.c] + now.folded[hunk.d : hunk.d + 1]
    if len(around) == 2 and all(_is_number(t) for t in around):
        raise Refused("a hesitation parts two numbers")
    if (now.gaps[hunk.c] + now.gaps[hunk.d]).strip() and (_counts(hunk.c, now) or _counts(hunk.d, now)):
        raise Refused("a hesitation may part a negation from what it denies")


def _no_stutter(hunk: Hunk, now: Words) -> None:
    """A word said twice wants to be said once, which is the model's work."""
    new = now.folded[hunk.c : hunk.d]
    if new and new in (now.folded[hunk.c - len(new) : hunk.c], now.folded[hunk.d : hunk.d + len(new)]):
        raise Refused("a word is repeated")


def _no_cue(hunk: Hunk, old: Words, now: Words) -> None:
    for words, start, end in ((old, hunk.a, hunk.b), (now, hunk.c, hunk.d)):
        spans = words.spans[max(0, start - 2) : end + 2]
        if spans and start < end:
            for cue in CUES.finditer(words.text, spans[0][0], spans[-1][1]):
                if cue.start() < words.spans[end - 1][1] and words.spans[start][0] < cue.end():
                    raise Refused("a correction may begin there")


def _said(path: Path, hunk: Hunk, start: int) -> bool:
    """Whether the rewrite has the old words letter by letter; True, also where it only begins a sentence with them.

    Returns whether the first letter was made a capital. Raises Refused for any other difference.
    """
    old, done = path.old.tokens[hunk.a : hunk.b], path.done.tokens[start : start + hunk.b - hunk.a]
    if old == done:
        return False
    raised = (old[0][:1].upper() + old[0][1:], *old[1:])
    if raised == done and (start == 0 or set(path.done.gaps[start]) & (STOPS | {"?"})):
        return True
    raise Refused("the rewrite spells the word otherwise")


def _replace(hunk: Hunk, old: Words, now: Words, path: Path, start: int, end: int, edits: _Edits) -> None:
    capital = _said(path, hunk, start)
    inner = range(1, hunk.b - hunk.a)
    if any(path.done.gaps[start + n] != old.gaps[hunk.a + n] for n in inner):
        raise Refused("the rewrite sets other marks inside the words that differ")
    text, new = now.raw(hunk.c, hunk.d), now.tokens[hunk.c : hunk.d]
    if capital:
        text, new = text[:1].upper() + text[1:], (new[0][:1].upper() + new[0][1:], *new[1:])
    edits.tokens[start, end] = (text, new)
    _carry_gap(hunk.a, hunk.c, old, now, path, edits, start)
    _carry_gap(hunk.b, hunk.d, old, now, path, edits, end)


def _insert(hunk: Hunk, old: Words, now: Words, path: Path, at: int, edits: _Edits) -> None:
    before, left, right, there = old.gaps[hunk.a], now.gaps[hunk.c], now.gaps[hunk.d], path.done.gaps[at]
    if hunk.a < len(old.tokens) and at < len(path.done.tokens) and old.tokens[hunk.a] != path.done.tokens[at]:
        raise Refused("a sentence would begin otherwise")
    if there == before:
        around = now.raw_gap(hunk.c), now.raw_gap(hunk.d)
    elif before and (left, right) == (before, ""):
        around = path.done.raw_gap(at), now.raw_gap(hunk.d)
    elif before and (left, right) == ("", before):
        around = now.raw_gap(hunk.c), path.done.raw_gap(at)
    else:
        raise Refused("the rewrite has another mark where words were added")
    edits.gap(at, around[0] + now.raw(hunk.c, hunk.d) + around[1])
    edits.tokens[at, at] = ("", now.tokens[hunk.c : hunk.d])


def _delete(hunk: Hunk, old: Words, now: Words, path: Path, start: int, end: int, edits: _Edits) -> None:
    if _said(path, hunk, start):
        raise Refused("a sentence would begin otherwise")
    left, right, meant = old.gaps[hunk.a], old.gaps[hunk.b], now.gaps[hunk.c]
    here, there = path.done.gaps[start], path.done.gaps[end]
    if (here, there) == (left, right):
        text = now.raw_gap(hunk.c)
    elif (meant, right, there) == (left, "", ""):
        text = path.done.raw_gap(start)
    elif (meant, left, here) == (right, "", ""):
        text = path.done.raw_gap(end)
    else:
        raise Refused("the rewrite has another mark where words are gone")
    edits.tokens[start, end] = ("", ())
    edits.gap(start, text)
    edits.gap(end, "")


# --- pauses ----------------------------------------------------------------------------------------------------------


def _carry_gap(k: int, c: int, old: Words, now: Words, path: Path, edits: _Edits, at: int | None = None) -> None:
    """A mark that differs: set where the rewrite has the source's, left where it has the new one's, else weighed."""
    before, after = old.gaps[k], now.gaps[c]
    counts = _counts(k, old) or _counts(c, now)
    if before == after or (before.strip() == after.strip() and not counts):
        return
    if at is None:
        at = path.before(k)
        if at != path.after(k):
            raise Refused("words were put in where a pause differs")
    there = path.done.gaps[at]
    if there == after:
        return
    if there == before:
        if _stops(before) != _stops(after) and old.tokens[k : k + 1] != path.done.tokens[at : at + 1]:
            raise Refused("a sentence would begin otherwise")
        edits.gap(at, now.raw_gap(c))
        return
    if counts or not _only_pauses(before + after + there) or not _stands(before.strip(), after.strip(), there.strip()):
        raise Refused("the rewrite has another mark where a pause differs")


def _stands(before: str, after: str, there: str) -> bool:
    """Whether the rewrite's own mark may stand: it parts the words where the new source does, or left out a pause."""
    if before == after or bool(after) == bool(there):
        return True
    return bool(before) and not there and not _stops(after) and not _stops(before)


def _stops(marks: str) -> bool:
    return bool(set(marks) & (STOPS | {"?"}))


def _only_pauses(marks: str) -> bool:
    return not set(marks) - PAUSES - STOPS - {" "}


def _counts(k: int, words: Words) -> bool:
    """Whether a pause in a gap may change what is said: a negation near it, or a number on both sides."""
    near = words.folded[max(0, k - NEAR) : k + NEAR]
    if any(t in NEGATIONS or t.endswith("n't") for t in near):
        return True
    beside = words.tokens[max(0, k - 1) : k + 1]
    return len(beside) == 2 and all(_is_number(t) for t in beside)


def _is_number(token: str) -> bool:
    return token[0].isdigit() or token in NUMERALS


# --- the result ------------------------------------------------------------------------------------------------------


def _apply(done: Words, edits: _Edits) -> str:
    """The rewrite with its edits made."""
    starts = {start: (end, text) for (start, end), (text, _) in edits.tokens.items() if end > start}
    out: list[str] = []
    k = 0
    while k <= len(done.tokens):
        out.append(edits.gaps.get(k, done.raw_gap(k)))
        if k in starts:
            k, text = starts[k]
            out.append(text)
            continue
        if k < len(done.tokens):
            out.append(done.raw(k, k + 1))
        k += 1
    return "".join(out)


def _balance(source: Words, rewrite: Words) -> tuple[Counter[str], Counter[str]]:
    """Words a rewrite has less and more often than its source."""
    said, written = Counter(source.folded), Counter(rewrite.folded)
    return said - written, written - said


def _verify(old: Words, now: Words, done: Words, result: Words, edits: _Edits) -> None:
    """The result reads as meant, and is no further from its source than the stored rewrite is from its own.

    A word carried to a wrong place would make the distance grow: it is missing where it was said, and too much there.
    """
    meant: list[str] = []
    at = 0
    for (start, end), (_, new) in sorted(edits.tokens.items()):
        meant += [*done.tokens[at:start], *new]
        at = end
    meant += done.tokens[at:]
    if result.tokens != tuple(meant):
        raise Refused("words would run together")
    lost, added = _balance(now, result)
    may_lose, may_add = _balance(old, done)
    if sum((lost - may_lose).values()) > edits.dropped or added - may_add:
        raise Refused("the model moved words, and a difference with them")
    far = Levenshtein.distance(now.folded, result.folded)
    if far > Levenshtein.distance(old.folded, done.folded) + edits.dropped:
        raise Refused("a difference would land in another place")
