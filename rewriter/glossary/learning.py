"""Aliases from corrections made by hand: another name stands where the source has one that sounds alike."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rewriter.glossary.beside import Beside, nearest
from rewriter.glossary.fold import fold, simplified
from rewriter.glossary.glossary import Glossary
from rewriter.glossary.hanzi import Runs
from rewriter.glossary.mining import Document, Suggestion, is_plain, quoted
from rewriter.glossary.unusual import PARTICLES, same_word
from rewriter.glossary.words import Reading, chinese_cost

_CONTRACTED = re.compile(r"(?i)['’](?:s|t|d|m|ve|ll|re)\b")
_LETTERS = re.compile(r"[^\W\d_]+")
# Tokens on either side of one change at most; more is a sentence said anew.
_LONGEST = 8
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
    beside, names = Beside(source, corrected), Names(corrected, known)
    done = 0
    for op in beside.ops:
        if op.equal or op.d == op.c or op.d - op.c > _LONGEST:
            continue
        begin, finish = names.around(beside.made[op.c].start(), beside.made[op.d - 1].end())
        name = corrected[begin:finish]
        if begin < done or not (names.knows(begin, finish) or is_name(name)):
            continue
        tokens = beside.in_source(begin, finish)
        found = nearest(source, tokens, name) if len(tokens) <= 2 * _LONGEST else None
        if found and not same_word(fold(source[slice(*found)]), fold(name)):
            done = finish
            yield _Change(*found, name)


def is_name(text: str) -> bool:
    """Whether it is more than ordinary words: those are the rewriter's business, not a glossary's."""
    words = _LETTERS.findall(_CONTRACTED.sub("", text))
    return len(text) > 1 and not all(len(word) < 2 or is_plain(word) for word in words)


class Names:
    """Which name a corrected stretch belongs to."""

    def __init__(self, text: str, known: Glossary) -> None:
        self._text = simplified(text)
        self._known = [(hit.start, hit.end) for hit in known.match(text, sound=False) if hit.how == "canonical"]
        self._runs = Runs(self._text)

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
