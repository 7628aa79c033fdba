"""Chinese terms found by sound: runs of characters whose syllables equal or nearly equal those of a term."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from rewriter.glossary import pinyin
from rewriter.glossary.words import Reading

CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\u3007]+")
# Above this number of Chinese terms only runs whose coarse classes all agree are looked at, and terms are read
# character by character: the pieces of so many terms would be found everywhere.
MANY_TERMS = 5000
# Terms of three characters or more may have one syllable wrong beyond recognition; they are found by the rest.
_PIECES_FROM = 3
# A longer piece is rarer. From four characters on a term is cut in the middle.
_HALVES_FROM = 4


class Candidate(NamedTuple):
    """text[start:end] may be a term; `distance` and `usual` (what it costs as ordinary text) are nats.

    `size` is the length of the term in units of sound: syllables, or sounds of Latin letters by three.
    """

    start: int
    end: int
    term: int
    distance: float
    usual: float
    size: float


class Hanzi:
    """The index of Chinese terms by sound; `names` are pairs of a term's number and its canonical form."""

    def __init__(self, names: Sequence[tuple[int, str]]) -> None:
        self._names = [(n, name) for n, name in names if len(name) > 1 and CHINESE.fullmatch(name)]
        self._few = len(self._names) <= MANY_TERMS
        self._spoken = [pinyin.spoken(name, phrases=self._few) for _, name in self._names]
        self._table = pinyin.CoarseTable()

    def __len__(self) -> int:
        return len(self._names)

    def candidates(self, text: str, runs: Runs, per_syllable: float) -> Iterator[Candidate]:
        """Runs that are at most `per_syllable` nats for each syllable from a term."""
        if not self._names:
            return
        for start, number in self._places(text.translate(self._table)):
            spoken = self._spoken[number]
            end = start + len(spoken)
            if start < 0 or not runs.holds(start, end):
                continue
            apart = distance(text[start:end], spoken, per_syllable * len(spoken))
            if apart is not None:
                usual = runs.cost(start, end)
                yield Candidate(start, end, self._names[number][0], apart, usual, len(spoken))

    def _places(self, coded: str) -> set[tuple[int, int]]:
        """Where a term may begin, with its number; from the pieces of terms that stand there."""
        automaton, pieces = self._index
        return {
            (start - offset, number)
            for piece, start, _ in automaton.find_matches_as_indexes(coded, overlapping=True)
            for number, offset in pieces[piece]
        }

    @cached_property
    def _index(self) -> tuple[Any, list[list[tuple[int, int]]]]:
        """An automaton over coarse classes, and for each of its words the terms that hold it and where."""
        from ahocorasick_rs import AhoCorasick

        pieces: dict[str, list[tuple[int, int]]] = {}
        for number, spoken in enumerate(self._spoken):
            for offset, piece in set(_pieces(spoken, self._few)):
                pieces.setdefault(piece, []).append((number, offset))
        return AhoCorasick(list(pieces), store_patterns=False), list(pieces.values())


class Runs:
    """The runs of Chinese characters in a text, each read as words when first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = [match.span() for match in CHINESE.finditer(text)]
        self._starts = [start for start, _ in self._spans]
        self._readings: dict[int, Reading] = {}

    def holds(self, start: int, end: int) -> bool:
        """Whether text[start:end] lies within one run."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._spans[at][1]

    def reach(self, at: int, most: int) -> int:
        """How many Chinese characters stand right behind `at`, or before it where `most` is negative."""
        number = bisect_right(self._starts, at if most > 0 else at - 1) - 1
        if number < 0:
            return 0
        begin, finish = self._spans[number]
        return max(0, min(most, finish - at) if most > 0 else min(-most, at - begin if at <= finish else 0))

    def cost(self, start: int, end: int) -> float:
        """What text[start:end], within one run, costs as ordinary text, in nats."""
        at = bisect_right(self._starts, start) - 1
        begin, finish = self._spans[at]
        if at not in self._readings:
            self._readings[at] = Reading(self._text[begin:finish])
        return self._readings[at].cost(start - begin, end - begin)


def _pieces(spoken: Sequence[Sequence[str]], few: bool) -> Iterator[tuple[int, str]]:
    """Offset and coarse classes of the parts of a term, one of which stands wherever the term is misheard."""
    for pick in (0, 1):  # the likeliest reading of each character, then the next one where there is one
        classes = "".join(pinyin.coarse(options[min(pick, len(options) - 1)]) for options in spoken if options)
        if len(classes) != len(spoken):
            return
        size = len(classes)
        if not few or size < _PIECES_FROM:
            yield 0, classes
        elif size < _HALVES_FROM:
            yield from ((0, classes[:-1]), (1, classes[1:]), (0, classes))
        else:
            yield from ((0, classes[: size // 2]), (size // 2, classes[size // 2 :]))


def distance(run: str, spoken: Sequence[Sequence[str]], limit: float) -> float | None:
    """How far a run sounds from a term, in nats, or None where it is more than `limit`."""
    total = 0.0
    for char, options in zip(run, spoken, strict=True):
        total += pinyin.nearest(pinyin.syllables(char), tuple(options))
        if total > limit:
            return None
    return total
