"""Terms in Latin letters found by sound: misheard as other letters, as Chinese characters, or as both mixed."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from rewriter.glossary import phones, pinyin
from rewriter.glossary.automaton import Automaton
from rewriter.glossary.hanzi import Bar, Candidate, Runs
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.words import UNKNOWN_WORD, alone, chinese_cost, heard_cost

# Above this number of terms all consonants must agree by class, and names written in Chinese characters alone are not
# looked for: with so many terms there is one near every stretch of text, and each is compared with all.
MANY_TERMS = 1000
# What one wrong consonant costs, in nats: one of about twenty others, at the rate at which names are misheard.
NATS = 3.0
# The sounds of a syllable, for limits that are stated by syllable.
SOUNDS_PER_SYLLABLE = 2.5
# A name is misheard as at most this many parts of words, and with this many Chinese characters at either side.
_PARTS = 3
_SIDE = 3
# Names with fewer sounds or consonants than this are like too many words.
_FEWEST_SOUNDS = 3
_FEWEST_CONSONANTS = 2
# Stretches whose names are held.
_HELD = 32768
# Ways to write one name in Chinese characters that are looked for at most.
_MOST_WRITINGS = 64

# Capitals that stand together, a word, or one letter; digits belong to no name's sound.
_UPPER, _LOWER = "A-Z\u00c0-\u00d6\u00d8-\u00de", "a-z\u00df-\u00f6\u00f8-\u024f"
_PART = re.compile(
    f"[{_UPPER}]{{2,}}(?![{_LOWER}])|[{_UPPER}]?[{_LOWER}]+(?:['’][{_LOWER}]+)?|[{_UPPER}](?:['’][{_LOWER}]+)?"
)
# All that parts are found in; looking for this first takes a third of the time, for most characters begin neither.
_LETTERS = re.compile(f"[{_UPPER}{_LOWER}](?:[{_UPPER}{_LOWER}'’]*[{_UPPER}{_LOWER}])?")
_SCRIPTS = re.compile(f"{CHINESE.pattern}|[^{CHINESE.pattern[1:-2]}]+")
_SPACED = re.compile("[ -]")
_JOINTS = frozenset(" -_.·")
# Capitals that are called one by one: three at most, or more without a vowel among them.
_SPELT_OUT = re.compile(f"[{_UPPER}]{{2,3}}|[B-DF-HJ-NP-TV-XZ]{{4,6}}")
# Of several words in a row, all but the rarest count with this share of their cost: words are predicted by others. A
# hyphen joins words as a space does; at their full cost, names were offered for `long-term` and `on-chain`.
PREDICTED = 0.3
# What each word costs that a name was heard as beyond two, or beyond its own number and one, in nats: `i mean i` was
# offered for Gemini, `as soon as` for Asana. At 1 a tenth of the false offers in English talks went, at 2 a seventh, at
# 3 hardly more; for the second word already, names were lost (`open time` for Opendime).
_IN_PIECES = 2.0
# What words such as don't, I'm, they're cost; the list of words has none with an apostrophe.
_CONTRACTED = 6.0
# What it costs, in nats, that a name in Latin letters is written in Chinese characters, wholly or in part.
IN_CHINESE = 2.5
# Chinese characters beside Latin letters count with this share of their cost, for most of them are words of their own.
# At 1, names spread over their neighbours (其 in `ChadGDP其`); 0.6 lost no name and a tenth of the false offers; 0.3
# lost names.
_BESIDE = 0.6


class Part(NamedTuple):
    """text[start:end] is a part of a word in Latin letters; `joined` says that it follows the part before closely."""

    start: int
    end: int
    word: str
    joined: bool


class Bars(NamedTuple):
    """For stretches of Latin letters alone, and for those with Chinese characters."""

    letters: Bar
    chinese: Bar


# Start, end, sounds, and what it costs as ordinary text, of what may be a name.
Stretch = tuple[int, int, str, float]


class Form(NamedTuple):
    """A way a name sounds; `size` is in syllables."""

    sounds: str
    skeleton: str
    size: float


class Alike(NamedTuple):
    """A term that something may be; as in Candidate."""

    term: int
    distance: float
    usual: float
    size: float


class Latin:
    """Terms with Latin letters by sound. `names` are the numbers of those terms, `spell` gives a term's canonical form,
    and `skeletons` the places in `names` of the terms with those consonants."""

    def __init__(
        self,
        names: Sequence[int],
        spell: Callable[[int], str],
        bars: Bars,
        skeletons: Mapping[str, Sequence[int]],
    ) -> None:
        self._names, self._spell, self._bars, self._skeletons = names, spell, bars, skeletons
        self._few = len(names) <= MANY_TERMS
        self._nearby: dict[str, Set[int]] = {}
        # Most of what a talk is made of comes again.
        self._compared = lru_cache(maxsize=_HELD)(self._compare)
        self._written = lru_cache(maxsize=_HELD)(self._writes)

    def __len__(self) -> int:
        return len(self._names)

    @classmethod
    def build(cls, names: Sequence[int], spell: Callable[[int], str], bars: Bars) -> Latin:
        """The index of those terms."""
        skeletons: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            sounding = (form for form in _forms(spell(name)) if bars.letters.most(form.size) >= 0)
            for skeleton in dict.fromkeys(form.skeleton for form in sounding):
                skeletons.setdefault(skeleton, []).append(number)
        return cls(names, spell, bars, skeletons)

    def candidates(self, text: str, runs: Runs) -> Iterator[Candidate]:
        """Stretches that pass the bar."""
        if not self._skeletons:
            return
        rows = list(_rows(text, _parts(text)))
        for start, end, usual in rows:
            if usual > self._bars.letters.worth:
                seen = text[start:end]
                for name in self._compared(phones.sound(seen), seen.count(" "), usual, self._bars.letters):
                    yield Candidate(start, end, *name)
        for start, end, heard, usual in self._mixed(text, rows, runs) if CHINESE.search(text) else ():
            for name in self._compared(heard, text.count(" ", start, end), usual, self._bars.chinese):
                yield Candidate(start, end, *name)
        if self._few:
            yield from self._written_in_chinese(text, runs)

    def _compare(self, heard: str, spaces: int, usual: float, bar: Bar) -> Sequence[Alike]:
        """Names that what was heard, written with so many spaces, may be."""
        found: list[Alike] = []
        for number in self._near(phones.skeleton(heard)):
            name = self._spell(self._names[number])
            worth = usual - _IN_PIECES * max(0, spaces - 1 - name.count(" ")) if spaces > 1 else usual
            for form in _forms(name):
                most = min(bar.most(form.size), worth - bar.worth) / NATS
                if most >= 0 and (wrong := phones.apart(heard, form.sounds, most)) <= most:
                    found.append(Alike(self._names[number], wrong * NATS, worth, form.size))
        return found

    def _mixed(self, text: str, rows: Iterable[tuple[int, int, float]], runs: Runs) -> Iterator[Stretch]:
        """Latin letters with Chinese characters that stand right before or behind."""
        side, worth = _SIDE if self._few else 1, self._bars.chinese.worth + IN_CHINESE
        for start, end, usual in rows:
            before, behind = runs.reach(start, -side), runs.reach(end, side)
            beside = text[start - before : start], text[end : end + behind]
            if (before or behind) and usual + _BESIDE * sum(map(chinese_cost, "".join(beside))) > worth:
                for left, right, heard in _with_sides(phones.sound(text[start:end]), *beside):
                    # Hardly any sound is near a name, and reading the run as words takes longest.
                    if self._near(phones.skeleton(heard)):
                        cost = usual + _BESIDE * (runs.cost(start - left, start) + runs.cost(end, end + right))
                        if cost > worth:
                            yield start - left, end + right, heard, cost - IN_CHINESE

    def _near(self, skeleton: str) -> Iterable[int]:
        """Names whose consonants are much the same; exactly the same where there are many names."""
        if not self._few:
            return self._skeletons.get(skeleton, ())
        if skeleton not in self._nearby:
            self._nearby[skeleton] = self._within_slack(skeleton)
        return self._nearby[skeleton]

    def _within_slack(self, skeleton: str) -> Set[int]:
        most = slack(skeleton)
        near = process.extract(
            skeleton, self._skeletons.keys(), scorer=Levenshtein.distance, score_cutoff=most, limit=None
        )
        return {name for other, wrong, _ in near if wrong <= slack(other) for name in self._skeletons[other]}

    def _written_in_chinese(self, text: str, runs: Runs) -> Iterator[Candidate]:
        automaton, classes = self._writings
        worth = self._bars.chinese.worth + IN_CHINESE
        for start, end, _ in automaton.find(classes.of(text)):
            if runs.at_most(start, end) > worth and (names := self._written(text[start:end])):
                usual = runs.cost(start, end) - IN_CHINESE
                for name in names:
                    if name.distance <= usual - self._bars.chinese.worth:
                        yield Candidate(start, end, name.term, name.distance, usual, name.size)

    def _writes(self, seen: str) -> Sequence[Alike]:
        """Names that Chinese characters may be, were they as unusual where they stand as by themselves."""
        heard = _chinese(seen)
        if not self._near(phones.skeleton(heard)):
            return ()
        usual = alone(seen) - IN_CHINESE
        return self._compare(heard, 0, usual, self._bars.chinese) if usual > self._bars.chinese.worth else ()

    @cached_property
    def _writings(self) -> tuple[Automaton, pinyin.ClassTable]:
        """How the names may be written in Chinese characters, by the consonants those begin with."""
        numbers = {number for numbers in self._skeletons.values() for number in numbers}
        forms = (form for number in numbers for form in _forms(self._spell(self._names[number])))
        long = {form.sounds for form in forms if self._bars.chinese.most(form.size) >= 0}
        return Automaton(sorted({w for sounds_ in long for w in _onsets(sounds_)})), pinyin.ClassTable(_onset_code)

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        starts, members = array("I", [0]), array("I")
        for numbers in self._skeletons.values():
            members.extend(numbers)
            starts.append(len(members))
        words = "\n".join(self._skeletons).encode()
        return [bytes(array("I", self._names)), words, bytes(starts), bytes(members)]

    @classmethod
    def from_parts(cls, spell: Callable[[int], str], bars: Bars, parts: Sequence[bytes]) -> Latin:
        """The index again."""
        names, starts, members = (array("I", parts[at]) for at in (0, 2, 3))
        words = parts[1].decode().split("\n")
        return cls(names, spell, bars, {w: members[a:b] for w, (a, b) in zip(words, pairwise(starts), strict=False)})


def _rows(text: str, parts: Sequence[Part]) -> Iterator[tuple[int, int, float]]:
    """Start, end and cost of up to three parts that follow each other closely."""
    for first in range(len(parts)):
        highest = total = 0.0
        for last in range(first, min(first + _PARTS, len(parts))):
            if last > first and not parts[last].joined:
                break
            start, end = parts[first].start, parts[last].end
            cost = _cost(parts[last].word)
            if last == first:
                highest = total = cost
                yield start, end, cost
                continue
            highest, total = max(highest, cost), total + cost
            usual = highest + (PREDICTED if _SPACED.search(text, start, end) else 1.0) * (total - highest)
            yield start, end, min(usual, _as_one(text[start:end]))


def _as_one(word: str) -> float:
    """The cost of a known word that capitals within part: GitHub, YouTube."""
    cost = _cost(word) if word.isalpha() else UNKNOWN_WORD
    return cost if cost < UNKNOWN_WORD else math.inf


def _with_sides(middle: str, before: str, behind: str) -> Iterator[tuple[int, int, str]]:
    """How many characters of those beside are taken in, before and behind, and how that sounds."""
    tails = [_chinese(behind[:right]) for right in range(len(behind) + 1)]
    for left in range(len(before) + 1):
        head = _chinese(before[len(before) - left :]) + middle
        for right, tail in enumerate(tails):
            if left or right:
                yield left, right, head + tail


def sounds(text: str) -> str:
    """How a text of Latin letters, Chinese characters or both sounds, in the letters of `phones`."""
    return "".join(_chinese(p) if CHINESE.match(p) else phones.sound(p) for p in _SCRIPTS.findall(text))


def sounds_like_letters(name: str) -> bool:
    """Whether a term is found by the sound of its Latin letters."""
    return bool(_forms(name))


@lru_cache(maxsize=4096)
def _forms(name: str) -> tuple[Form, ...]:
    """How a name with Latin letters sounds: as a word, and with capitals that stand together called one by one."""
    if not _PART.search(name):
        return ()
    spelt = "".join(_chinese(p) if CHINESE.match(p) else _called(p) for p in _SCRIPTS.findall(name))
    heard = (sounds(name), spelt)
    made = (Form(f, phones.skeleton(f), len(f) / SOUNDS_PER_SYLLABLE) for f in dict.fromkeys(heard))
    return tuple(f for f in made if len(f.sounds) >= _FEWEST_SOUNDS and len(f.skeleton) >= _FEWEST_CONSONANTS)


def _called(piece: str) -> str:
    return "".join(phones.called(w) if _SPELT_OUT.fullmatch(w) else phones.sound(w) for w in _PART.findall(piece))


def _cost(word: str) -> float:
    stem, _, ending = word.lower().replace("’", "'").partition("'")
    return _CONTRACTED if ending and ending != "s" else heard_cost(stem)


def _parts(text: str) -> list[Part]:
    found: list[Part] = []
    last = -1
    for word in _LETTERS.finditer(text):
        start, end = word.span()
        if word[0].islower() and word[0].isalpha():  # most are: one part
            found.append(Part(start, end, word[0], _joined(text, last, start)))
            last = end
            continue
        for match in _PART.finditer(text, start, end):
            start, end = match.span()
            found.append(Part(start, end, match[0], _joined(text, last, start)))
            last = end
    return found


def _joined(text: str, last: int, start: int) -> bool:
    return last >= 0 and (start == last or (start == last + 1 and text[last] in _JOINTS))


def _chinese(run: str) -> str:
    return "".join(map(_character, run))


@lru_cache(maxsize=32768)
def _character(char: str) -> str:
    readings = pinyin.syllables(char)
    return phones.of_syllable(*pinyin.parts(readings[0])) if readings else ""


def slack(skeleton: str) -> int:
    """How many consonants may differ."""
    return 0 if len(skeleton) < 3 else 1 if len(skeleton) < 5 else 2


# --- how a name sounds to one who writes it in Chinese characters ----------------------------------------------------
# Every character begins with a consonant or with none; a consonant that no vowel follows gets a character of its own
# (Falcon, 法尔肯), ends the one before, or is not heard.

_NONE, _ROUND = "A", "W"
_ONSET = {
    "p": "P", "b": "P", "m": "M", "f": "F", "v": "FW", "t": "T", "d": "T", "n": "N", "l": "L", "r": "L", "k": "K",
    "g": "K", "h": "K", "C": "J", "J": "J", "s": "S", "z": "SJ", "S": "S", "w": "W",
}  # fmt: skip
_BEFORE_I = {"h": "KS", "k": "KJ", "g": "KJ"}
_CODES = {letter: chr(0xE000 + number) for number, letter in enumerate("PMFTNLKJSAW")}


def _onset_code(syllable: str) -> str:
    """The class of the consonant a syllable begins with, as one code point of the private use area."""
    return _CODES[_onset(syllable)]


def _onset(syllable: str) -> str:
    initial, final = pinyin.parts(syllable)
    if not initial:
        return _ROUND if final.startswith("u") else _NONE
    return _ONSET.get(phones.of_syllable(initial, "")[:1], _NONE)[0]


def _onsets(sounds: str) -> set[str]:
    """The strings of classes, two characters or more, that writers may make of a name."""
    found = {""}
    for at, one in enumerate(sounds):
        found = {w + _CODES[c] if c else w for w in found for c in _choices(sounds, at, one)}
        if len(found) > _MOST_WRITINGS:
            found = set(sorted(found, key=lambda w: (len(w), w))[:_MOST_WRITINGS])
    return {writing for writing in found if len(writing) > 1}


def _choices(sounds: str, at: int, one: str) -> Sequence[str]:
    following = sounds[at + 1 : at + 2]
    if one in phones.VOWELS:
        begins = _ROUND if one in "uo" else _NONE
        if at == 0:
            return (_NONE, _ROUND) if begins == _ROUND else (_NONE,)
        return ("", begins) if sounds[at - 1] in phones.VOWELS else ("",)
    if following in phones.VOWELS and following:
        return tuple(_BEFORE_I.get(one, _ONSET.get(one, "")) if following == "i" else _ONSET.get(one, ""))
    return ("", *_ONSET.get(one, ""), *((_NONE,) if one in "lr" else ()))
