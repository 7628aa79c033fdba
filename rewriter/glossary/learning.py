"""Aliases from corrections made by hand: another name stands where the source has one that sounds alike."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rewriter.checks.align import Op, align
from rewriter.glossary import phones, pinyin
from rewriter.glossary.fold import fold
from rewriter.glossary.glossary import Glossary
from rewriter.glossary.hanzi import CHINESE, Runs, distance
from rewriter.glossary.latin import NATS, SOUNDS_PER_SYLLABLE, sounds
from rewriter.glossary.mining import Document, Suggestion, is_plain, quoted
from rewriter.glossary.sound import PER_SYLLABLE
from rewriter.glossary.unusual import PARTICLES, same_word
from rewriter.glossary.words import Reading, chinese_cost

# A Chinese character, or a word of another script. Marks are no part of names here: corrected punctuation teaches
# nothing.
_WORD = r"[^\W\u3400-\u9fff\uf900-\ufaff]+"
_TOKEN = re.compile(rf"{CHINESE.pattern.removesuffix('+')}|{_WORD}(?:['’.+-]{_WORD})*")
_CONTRACTED = re.compile(r"(?i)['’](?:s|t|d|m|ve|ll|re)\b")
_LETTERS = re.compile(r"[^\W\d_]+")
# Tokens on either side of one change at most; more is a sentence said anew.
_LONGEST = 8
# What a person corrected may sound this many times as far from the name as what is offered unasked.
_GENEROUS = 1.5
# A corrected word takes in neighbours that are single characters and rarer than this (nats; 7.5 is one in 1,800), as
# those of names are, up to this many characters: 陆晓岚 where only 小 became 晓.
_ORDINARY_CHARACTER, _WITH_NEIGHBOURS = 7.5, 3
# Chinese characters on either side of a change that are read as words with it.
_AROUND = 12


class _Change(NamedTuple):
    """source[start:end] was corrected to `name`."""

    start: int
    end: int
    name: str


def learn(source: Document, corrected: Document, *, known: Glossary | None = None) -> list[Suggestion]:
    """The names that were corrected, with the forms that stood there; the oftenest corrected first.

    A name of `known` is taken as a whole where the corrected text has it. Forms that are an alias of their name in
    `known` already are left out, and so are changes of letter case, width, spaces and marks.
    """
    known = known or Glossary.empty()
    listed = {(fold(alias), name) for alias, name in known.aliases().items()}
    places: dict[str, dict[str, list[_Change]]] = {}
    for change in _narrowed(source.text, list(_changes(source.text, corrected.text, known))):
        form = fold(source.text[change.start : change.end])
        if (form, change.name) not in listed:
            places.setdefault(change.name, {}).setdefault(form, []).append(change)
    found = [_suggestion(source, name, list(forms.values())) for name, forms in places.items()]
    return sorted(found, key=lambda one: -one.misheard)


def _suggestion(source: Document, name: str, forms: list[list[_Change]]) -> Suggestion:
    forms.sort(key=lambda changes: -len(changes))
    shown = (quoted(source, changes[0].start, changes[0].end, len(changes)) for changes in forms)
    return Suggestion(canonical=name, origin="correction", own=None, forms=tuple(shown))


def _narrowed(source: str, changes: Sequence[_Change]) -> Iterator[_Change]:
    """Changes of Chinese names without what stands beside the name, where another change is the name alone."""
    names = {change.name for change in changes}
    for change in changes:
        name, form = change.name, source[change.start : change.end]
        spans = ((a, b) for a in range(len(name)) for b in range(a + 2, len(name) + 1))
        same = ((a, b) for a, b in spans if name[:a] == form[:a] and name[b:] == form[b:])
        shorter = [(b - a, a, b) for a, b in same if name[a:b] in names]
        if len(form) != len(name) or not shorter:
            yield change
        else:
            _, a, b = min(shorter)
            yield _Change(change.start + a, change.start + b, name[a:b])


# --- where names were corrected --------------------------------------------------------------------------------------


def _changes(source: str, corrected: str, known: Glossary) -> Iterator[_Change]:
    here, there = list(_TOKEN.finditer(source)), list(_TOKEN.finditer(corrected))
    ops = align(*_coded(here, there))
    names = _Names(corrected, known)
    starts = [token.start() for token in there]
    done = 0
    for op in ops:
        if op.equal or op.d <= max(op.c, done) or op.d - op.c > _LONGEST:
            continue
        begin, finish = names.around(there[op.c].start(), there[op.d - 1].end())
        first, last = bisect_left(starts, begin), bisect_left(starts, finish)
        if first < done or not (names.knows(begin, finish) or _is_name(corrected[begin:finish])):
            continue
        low, high = _standing(ops, first, last)
        if low < high <= low + 2 * _LONGEST and (found := _nearest(source, here[low:high], corrected[begin:finish])):
            done = last
            yield found


def _coded(here: Sequence[re.Match[str]], there: Sequence[re.Match[str]]) -> tuple[str, str]:
    """Both texts with one code point for each different token."""
    codes: dict[str, str] = {}
    left, right = (
        "".join(codes.setdefault(fold(token[0]), chr(0x10000 + len(codes))) for token in tokens)
        for tokens in (here, there)
    )
    return left, right


def _standing(ops: Sequence[Op], first: int, last: int) -> tuple[int, int]:
    """The tokens of the source that stand against corrected tokens [first, last)."""
    begin = ops[bisect_right(ops, first, key=lambda op: op.d)]
    end = ops[bisect_left(ops, last, key=lambda op: op.d)]
    low = begin.a + (first - begin.c if begin.equal else 0)
    return low, end.a + (last - end.c) if end.equal else end.b


def _nearest(source: str, tokens: Sequence[re.Match[str]], name: str) -> _Change | None:
    """The part of the source's tokens that sounds most like the name: a filler may have been dropped beside it."""
    spans = [(tokens[a].start(), tokens[b].end()) for a in range(len(tokens)) for b in range(a, len(tokens))]
    heard = [
        (apart, start - end, start, end)
        for start, end in spans
        if (apart := _apart(source[start:end], name)) is not None
    ]
    if not heard:
        return None
    _, _, start, end = min(heard)
    return None if same_word(fold(source[start:end]), fold(name)) else _Change(start, end, name)


def _is_name(text: str) -> bool:
    """Whether it is more than ordinary words: those are the rewriter's business, not a glossary's."""
    words = _LETTERS.findall(_CONTRACTED.sub("", text))
    return len(text) > 1 and not all(len(word) < 2 or is_plain(word) for word in words)


def _apart(seen: str, name: str) -> float | None:
    """How far apart they sound, in nats for each syllable; None where nobody would mishear the one as the other."""
    limit = _GENEROUS * PER_SYLLABLE
    if CHINESE.fullmatch(seen) and CHINESE.fullmatch(name):
        if len(seen) != len(name):
            return None
        apart = distance(seen, pinyin.spoken(name, phrases=False), limit * len(name))
        return None if apart is None else apart / len(name)
    left, right = sounds(seen), sounds(name)
    if not left or not right:
        return None
    each = phones.apart(left, right) * NATS / len(right) * SOUNDS_PER_SYLLABLE
    return each if each <= limit else None


class _Names:
    """Which name a corrected stretch belongs to."""

    def __init__(self, text: str, known: Glossary) -> None:
        self._text = text
        self._known = [(hit.start, hit.end) for hit in known.match(text, sound=False) if hit.how == "canonical"]
        self._runs = Runs(text)

    def knows(self, start: int, end: int) -> bool:
        """Whether the known glossary has a name there."""
        at = bisect_right(self._known, start, key=lambda span: span[1])
        return at < len(self._known) and self._known[at][0] < end

    def around(self, start: int, end: int) -> tuple[int, int]:
        """The known name there; else whole words, and a neighbour where that is one Chinese character."""
        if self.knows(start, end):
            at = bisect_right(self._known, start, key=lambda span: span[1])
            return min(start, self._known[at][0]), max(end, self._known[at][1])
        if self._runs.holds(start, end) and not (end - start == 1 and self._text[start] in PARTICLES):
            return self._words(
                start - self._runs.reach(start, -_AROUND), end + self._runs.reach(end, _AROUND), start, end
            )
        return start, end

    def _words(self, begin: int, finish: int, start: int, end: int) -> tuple[int, int]:
        """The words of text[begin:finish] that hold text[start:end], with neighbours that read as parts of a name."""
        breaks = [begin + at for at in Reading(self._text[begin:finish]).breaks()]
        start, end = max(at for at in breaks if at <= start), min(at for at in breaks if at >= end)
        while start - 1 in breaks and end - start < _WITH_NEIGHBOURS and self._joins(start - 1):
            start -= 1
        while end + 1 in breaks and end - start < _WITH_NEIGHBOURS and self._joins(end):
            end += 1
        return start, end

    def _joins(self, at: int) -> bool:
        char = self._text[at]
        return char not in PARTICLES and chinese_cost(char) > _ORDINARY_CHARACTER
