"""Chinese terms found by sound: runs of characters whose syllables equal or nearly equal those of a term."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from rewriter.glossary import pinyin
from rewriter.glossary.automaton import Automaton, Found
from rewriter.glossary.pinyin import CHINESE, Ear, Spoken
from rewriter.glossary.words import Reading, alone, crossed, is_break

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
# Where more pieces than this are found for each character, all of the text is read as words at once.
_READ_FROM = 0.2
# Windows of text that are held as they were read.
_WINDOWS_HELD = 4096
# Classes there are, coarse and narrow.
_COARSE, _NARROW = 40, 300


class Bar(NamedTuple):
    """A stretch is offered where it costs `worth` nats more as ordinary text than its sound is away from the term's;
    `most(size)` is the distance, in nats, at which a term of `size` syllables is offered at all: negative for never."""

    worth: float
    most: Callable[[float], float]


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


# Names of one size that share a piece at one offset: offset, size, names.
Group = tuple[int, int, Sequence[int]]


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

    def owners(self, word: int) -> Iterator[tuple[int, int]]:
        """Names that a word is a piece of, each with the piece's offset there."""
        places = range(self.starts[word], self.starts[word + 1])
        return ((self.names[at], self.offsets[at]) for at in places)

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [self.automaton.to_bytes(), *(bytes(array("I", part)) for part in self[1:])]

    @classmethod
    def from_parts(cls, automaton: bytes, starts: bytes, names: bytes, offsets: bytes) -> Pieces:
        """The pieces again. Raises ValueError where the bytes are not such."""
        return cls(Automaton.from_bytes(automaton), array("I", starts), array("I", names), array("I", offsets))


class Hanzi:
    """Chinese terms by sound. `names` are the numbers of those terms, `spell` gives a term's canonical form."""

    def __init__(
        self, names: Sequence[int], spell: Callable[[int], str], bar: Bar, coarse: Pieces, narrow: Pieces
    ) -> None:
        self._names, self._spell, self._bar = names, spell, bar
        self._ears = _Ears(names, spell)
        both = (pinyin.COARSE, coarse), (pinyin.NARROW, narrow)
        self._pieces = tuple((classes, pieces, _Sharing(pieces, self._ears)) for classes, pieces in both)

    def __len__(self) -> int:
        return len(self._names)

    @classmethod
    def build(cls, names: Sequence[int], spell: Callable[[int], str], bar: Bar) -> Hanzi:
        """The index of those terms."""
        sizes = Counter(len(spell(name)) for name in names)
        coarse: list[tuple[str, int, int]] = []
        narrow: list[tuple[str, int, int]] = []
        for number, name in enumerate(names):
            text = spell(name)
            if (limit := bar.most(len(text))) >= 0:
                spoken = pinyin.spoken(text, phrases=len(names) <= READ_AS_WORDS)
                wide = limit >= pinyin.RELATED and _affordable(sizes[len(text)], len(text))
                for offset, piece in set(_pieces(spoken, pinyin.coarse if wide else pinyin.narrow, sizes)):
                    (coarse if wide else narrow).append((piece, number, offset))
        return cls(names, spell, bar, Pieces.of(coarse), Pieces.of(narrow))

    def candidates(self, text: str, runs: Runs) -> Iterator[Candidate]:
        """Runs that pass the bar."""
        found: dict[tuple[int, int], float] = {}
        for classes, pieces, sharing in self._pieces:
            if pieces.names:
                places = list(pieces.automaton.find(classes.of(text)))
                if len(places) > _READ_FROM * len(text):
                    runs.read_all()
                found.update(self._near(text, places, sharing, runs))
        worth = self._bar.worth
        for (start, number), apart in found.items():
            end = start + len(self._ears[number])
            # To read a few characters by themselves takes a fifth of reading what they stand in.
            if alone(text[start:end]) >= worth + apart and runs.cost(start, end) >= worth + apart:
                usual = runs.cost_instead(start, self._spell(self._names[number]))
                yield Candidate(start, end, self._names[number], apart, usual, end - start)

    def _near(
        self, text: str, places: Iterable[Found], sharing: _Sharing, runs: Runs
    ) -> Iterator[tuple[tuple[int, int], float]]:
        """Of places where a piece stands, those where a name may begin by its sound, and how far apart."""
        ears, size, most, worth = self._ears, len(text), lru_cache(self._bar.most), self._bar.worth
        for at, _, word in places:
            for offset, length, names in sharing[word]:
                start = at - offset
                end = start + length
                if start >= 0 and end <= size and (limit := min(most(length), runs.at_most(start, end) - worth)) >= 0:
                    seen = text[start:end]
                    for number in names:
                        if (apart := pinyin.distance(seen, ears[number], limit)) is not None:
                            yield (start, number), apart

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [bytes(array("I", self._names)), *(part for _, pieces, _ in self._pieces for part in pieces.to_parts())]

    @classmethod
    def from_parts(cls, spell: Callable[[int], str], bar: Bar, parts: Sequence[bytes]) -> Hanzi:
        """The index again. Raises ValueError where the bytes are not such."""
        names, *rest = parts
        return cls(array("I", names), spell, bar, Pieces.from_parts(*rest[:4]), Pieces.from_parts(*rest[4:]))


def is_chinese(name: str) -> bool:
    """Whether a term is found by the sound of its characters: two or more, and nothing else."""
    return len(name) > 1 and CHINESE.fullmatch(name) is not None


def _affordable(names: int, size: int) -> bool:
    """Whether so many terms of `size` characters may be looked for by their coarse pieces."""
    each, pieces = (size, 1) if size < _PIECES_FROM else (2, 2) if size < _HALVES_FROM else (size // 2, 2)
    return bool(pieces * names / _COARSE**each <= MOST_PIECES)


_reading = lru_cache(maxsize=_WINDOWS_HELD)(Reading)


class Runs:
    """The runs of Chinese characters in a text, read as words where that is asked for.

    What is read are windows between places that no word of the list crosses: what stands beyond cannot change what is
    within. Where a stretch is asked for that lies across windows, the whole run is read instead, so that no place is
    read more than twice.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._whole = False  # whether all runs were read
        self._window = [-1] * len(text)  # where the window begins that holds a character; -1 where it was not read
        self._ahead, self._until = [0.0] * len(text), [0.0] * (len(text) + 1)  # as in Reading, within the window

    def holds(self, start: int, end: int) -> bool:
        """Whether text[start:end] lies within one run."""
        return CHINESE.fullmatch(self._text, start, end) is not None

    def reach(self, at: int, most: int) -> int:
        """How many Chinese characters stand right behind `at`, or before it where `most` is negative."""
        beside = self._text[at : at + most] if most > 0 else self._text[max(0, at + most) : at][::-1]
        match = CHINESE.match(beside) if beside >= "\u3007" else None
        return len(match[0]) if match else 0

    def cost(self, start: int, end: int) -> float:
        """What text[start:end], within one run or empty, costs as ordinary text, in nats."""
        if start == end:
            return 0.0
        if not 0 <= self._window[start] == self._window[end - 1]:
            self._read(start, end)
        return self._until[end] - self._ahead[start]

    def at_most(self, start: int, end: int) -> float:
        """A bound of `cost` that takes no reading; negative where that is known to lie within no run."""
        window = self._window[start]
        if window >= 0 and window == self._window[end - 1]:
            return self._until[end] - self._ahead[start]
        return -1.0 if self._whole else math.inf

    def read_all(self) -> None:
        """Read every run as a whole: where most places are asked for, that takes less time than windows."""
        if not self._whole:
            for run in CHINESE.finditer(self._text):
                self._take(*run.span())
            self._whole = True

    def cost_instead(self, start: int, name: str) -> float:
        """What the stretch of the name's length at `start` costs, words that it shares with the name at either end
        counting with a share."""
        end = start + len(name)
        whole, seen = self.cost(start, end), self._text[start:end]
        breaks = [at for at in range(len(name) + 1) if self._is_break(start + at)]
        low = max((at for at in breaks if seen[:at] == name[:at]), default=0)
        high = min((at for at in breaks if at > low and seen[at:] == name[at:]), default=len(name))
        other = self.cost(start + low, start + high)
        return other + _SHARED * (whole - other)

    def _is_break(self, at: int) -> bool:
        """Within a window that was read, its ends included."""
        return at == len(self._text) or is_break(self._ahead[at], self._until[at])

    def _read(self, start: int, end: int) -> None:
        text = self._text
        goes_on = partial(crossed, text) if max(self._window[start:end]) < 0 else self._within
        while start > 0 and goes_on(start):
            start -= 1
        while end < len(text) and goes_on(end):
            end += 1
        self._take(start, end)

    def _take(self, start: int, end: int) -> None:
        reading = _reading(self._text[start:end])
        self._window[start:end] = [start] * (end - start)
        self._ahead[start:end], self._until[start + 1 : end + 1] = reading.ahead[:-1], reading.until[1:]

    def _within(self, at: int) -> bool:
        return self.holds(at - 1, at + 1)


class _Ears(dict[int, tuple[Ear, ...]]):
    """What hears each of the names; filled as they come up, for of many names few do."""

    def __init__(self, names: Sequence[int], spell: Callable[[int], str]) -> None:
        super().__init__()
        self._names, self._spell = names, spell

    def __missing__(self, number: int) -> tuple[Ear, ...]:
        self[number] = heard = pinyin.ears(self._spell(self._names[number]), phrases=len(self._names) <= READ_AS_WORDS)
        return heard


class _Sharing(dict[int, Sequence[Group]]):
    """The names that share each word of the pieces; filled as they come up, for of many words few do."""

    def __init__(self, pieces: Pieces, ears: _Ears) -> None:
        super().__init__()
        self._pieces, self._ears = pieces, ears

    def __missing__(self, word: int) -> Sequence[Group]:
        groups: dict[tuple[int, int], list[int]] = {}
        for number, offset in self._pieces.owners(word):
            groups.setdefault((offset, len(self._ears[number])), []).append(number)
        self[word] = found = [(offset, size, names) for (offset, size), names in groups.items()]
        return found


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
