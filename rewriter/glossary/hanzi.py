"""Chinese terms found by sound: runs of characters whose syllables equal or nearly equal those of a term."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rewriter.glossary import pinyin
from rewriter.glossary.automaton import Automaton
from rewriter.glossary.pinyin import Spoken
from rewriter.glossary.words import Reading, alone

CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\u3007]+")
# Up to this many Chinese terms each is read as a word, so that 重 sounds right; above, character by character, for
# reading words takes 30 microseconds each.
READ_AS_WORDS = 5000
# How many pieces of terms may be looked at for each character of text, were all classes equally frequent (they are not:
# about twice as many are). Each takes four microseconds.
MOST_PIECES = 0.3
# Terms of three characters or more may have one syllable wrong beyond recognition; they are found by the rest. From
# four characters on a term is cut in the middle, for a longer piece is rarer. With narrow classes three syllables are
# rare.
_PIECES_FROM, _HALVES_FROM, _THREE = 3, 4, 3
# Words that a stretch shares with the term count with this share of their cost. They say little: a talk about 数字藏品
# is full of 数字, and 数字作品 is as ordinary there as its other half. At 1, compound terms were offered for their
# neighbours (4 false offers per 1,000 characters on 40 terms of two talks, against 1 and 2.5 at 0.5); 0.25 and 0 lost
# names that differ in one word from ordinary ones, 8 and 25 in 100 of a recogniser's.
_SHARED = 0.5
# Classes there are, coarse and narrow.
_COARSE, _NARROW = 40, 300


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


class Pieces(NamedTuple):
    """Words of an automaton over classes of sound: word w is at offsets[i] of name names[i], for i in starts[w] up to
    starts[w + 1]."""

    automaton: Automaton
    starts: Sequence[int]
    names: Sequence[int]
    offsets: Sequence[int]

    @classmethod
    def of(cls, found: Iterable[tuple[str, int, int]]) -> Pieces:
        """From pieces, each with its name and its offset there."""
        words: dict[str, list[tuple[int, int]]] = {}
        for piece, name, offset in found:
            words.setdefault(piece, []).append((name, offset))
        starts, names, offsets = array("I", [0]), array("I"), array("I")
        for places in words.values():
            names.extend(name for name, _ in places)
            offsets.extend(offset for _, offset in places)
            starts.append(len(names))
        return cls(Automaton(list(words)), starts, names, offsets)

    def places(self, coded: str) -> set[tuple[int, int]]:
        """Where a name may begin, with its number."""
        starts, names, offsets = self.starts, self.names, self.offsets
        return {
            (start - offsets[at], names[at])
            for start, _, word in self.automaton.find(coded)
            for at in range(starts[word], starts[word + 1])
        }

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [self.automaton.to_bytes(), *(bytes(array("I", part)) for part in self[1:])]

    @classmethod
    def from_parts(cls, automaton: bytes, starts: bytes, names: bytes, offsets: bytes) -> Pieces:
        """The pieces again. Raises ValueError where the bytes are not such."""
        return cls(Automaton.from_bytes(automaton), array("I", starts), array("I", names), array("I", offsets))


class Hanzi:
    """Chinese terms by sound. `names` are the numbers of those terms, `spell` gives a term's canonical form."""

    def __init__(self, names: Sequence[int], spell: Callable[[int], str], coarse: Pieces, narrow: Pieces) -> None:
        self._names, self._spell = names, spell
        self._pieces = ((pinyin.ClassTable(pinyin.coarse), coarse), (pinyin.ClassTable(pinyin.narrow), narrow))
        self._spoken: dict[int, Spoken] = {}

    def __len__(self) -> int:
        return len(self._names)

    @classmethod
    def build(cls, names: Sequence[int], spell: Callable[[int], str], most: Callable[[float], float]) -> Hanzi:
        """The index of those terms; `most(size)` is the distance at which one of `size` syllables is still offered."""
        sizes = Counter(len(spell(name)) for name in names)
        coarse: list[tuple[str, int, int]] = []
        narrow: list[tuple[str, int, int]] = []
        for number, name in enumerate(names):
            text = spell(name)
            if (limit := most(len(text))) >= 0:
                spoken = pinyin.spoken(text, phrases=len(names) <= READ_AS_WORDS)
                wide = limit >= pinyin.RELATED and _affordable(sizes[len(text)], len(text))
                for offset, piece in set(_pieces(spoken, pinyin.coarse if wide else pinyin.narrow, sizes)):
                    (coarse if wide else narrow).append((piece, number, offset))
        return cls(names, spell, Pieces.of(coarse), Pieces.of(narrow))

    def candidates(self, text: str, runs: Runs, most: Callable[[float], float], worth: float) -> Iterator[Candidate]:
        """Runs near enough to a term, and nearer than they are less ordinary text than costs `worth` nats."""
        for table, pieces in self._pieces:
            for start, number in pieces.places(text.translate(table)):
                spoken = self._heard(number)
                end = start + len(spoken)
                if start < 0 or not runs.holds(start, end):
                    continue
                apart = distance(text[start:end], spoken, most(len(spoken)))
                if apart is not None and alone(text[start:end]) >= worth + apart:
                    usual = runs.cost_instead(start, self._spell(self._names[number]))
                    yield Candidate(start, end, self._names[number], apart, usual, len(spoken))

    def _heard(self, number: int) -> Spoken:
        if number not in self._spoken:
            name = self._spell(self._names[number])
            self._spoken[number] = pinyin.spoken(name, phrases=len(self._names) <= READ_AS_WORDS)
        return self._spoken[number]

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [bytes(array("I", self._names)), *(part for _, pieces in self._pieces for part in pieces.to_parts())]

    @classmethod
    def from_parts(cls, spell: Callable[[int], str], parts: Sequence[bytes]) -> Hanzi:
        """The index again. Raises ValueError where the bytes are not such."""
        names, *rest = parts
        return cls(array("I", names), spell, Pieces.from_parts(*rest[:4]), Pieces.from_parts(*rest[4:]))


def is_chinese(name: str) -> bool:
    """Whether a term is found by the sound of its characters: two or more, and nothing else."""
    return len(name) > 1 and CHINESE.fullmatch(name) is not None


def _affordable(names: int, size: int) -> bool:
    """Whether so many terms of `size` characters may be looked for by their coarse pieces."""
    each, pieces = (size, 1) if size < _PIECES_FROM else (2, 2) if size < _HALVES_FROM else (size // 2, 2)
    return bool(pieces * names / _COARSE**each <= MOST_PIECES)


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
        begin, reading = self._reading(start)
        return reading.cost(start - begin, end - begin)

    def cost_instead(self, start: int, name: str) -> float:
        """What the stretch of the name's length at `start` costs, words that it shares with the name at either end
        counting with a share."""
        begin, reading = self._reading(start)
        seen, offset = self._text[start : start + len(name)], start - begin
        breaks = [at for at in range(len(name) + 1) if reading.is_break(offset + at)]
        low = max((at for at in breaks if seen[:at] == name[:at]), default=0)
        high = min((at for at in breaks if at > low and seen[at:] == name[at:]), default=len(name))
        whole, other = reading.cost(offset, offset + len(name)), reading.cost(offset + low, offset + high)
        return other + _SHARED * (whole - other)

    def _reading(self, start: int) -> tuple[int, Reading]:
        """Where the run that holds `start` begins, and the run read as words."""
        at = bisect_right(self._starts, start) - 1
        begin, finish = self._spans[at]
        if at not in self._readings:
            self._readings[at] = Reading(self._text[begin:finish])
        return begin, self._readings[at]


def _pieces(spoken: Spoken, classify: Callable[[str], str], sizes: Mapping[int, int]) -> Iterator[tuple[int, str]]:
    """Offset and classes of the parts of a term, one of which stands wherever the term is misheard."""
    for pick in (0, 1):  # the likeliest reading of each character, then the next one where there is one
        classes = "".join(classify(options[min(pick, len(options) - 1)]) for options in spoken if options)
        if len(classes) != len(spoken):
            return
        size = len(classes)
        if classify is pinyin.narrow:
            yield from _narrow_pieces(classes, sizes[size])
        elif size < _PIECES_FROM:
            yield 0, classes
        elif size < _HALVES_FROM:
            yield from ((0, classes[:-1]), (1, classes[1:]), (0, classes))
        else:
            yield from ((0, classes[: size // 2]), (size // 2, classes[size // 2 :]))


def _narrow_pieces(classes: str, names: int) -> Iterator[tuple[int, str]]:
    """The first three and the last three of a longer term where there are not too many such terms, else the whole."""
    if len(classes) > _THREE and 2 * names / _NARROW**_THREE <= MOST_PIECES:
        yield from ((0, classes[:_THREE]), (len(classes) - _THREE, classes[-_THREE:]))
    else:
        yield 0, classes


def distance(run: str, spoken: Spoken, limit: float) -> float | None:
    """How far a run sounds from a term, in nats, or None where it is more than `limit`."""
    total = 0.0
    for char, options in zip(run, spoken, strict=True):
        total += pinyin.nearest(pinyin.syllables(char), options)
        if total > limit:
            return None
    return total
