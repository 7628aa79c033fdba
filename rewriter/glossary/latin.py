"""Terms in Latin letters found by sound: misheard as other letters, as Chinese characters, or as both mixed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from rewriter.glossary import phones, pinyin
from rewriter.glossary.hanzi import CHINESE, Candidate, Runs
from rewriter.glossary.words import latin_cost

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
# Ways to write one name in Chinese characters that are looked for at most.
_MOST_WRITINGS = 64

# Capitals that stand together, a word, or one letter; digits belong to no name's sound.
_UPPER, _LOWER = "A-Z\u00c0-\u00d6\u00d8-\u00de", "a-z\u00df-\u00f6\u00f8-\u024f"
_PART = re.compile(
    f"[{_UPPER}]{{2,}}(?![{_LOWER}])|[{_UPPER}]?[{_LOWER}]+(?:['’][{_LOWER}]+)?|[{_UPPER}](?:['’][{_LOWER}]+)?"
)
_SCRIPTS = re.compile(f"{CHINESE.pattern}|[^{CHINESE.pattern[1:-2]}]+")
_JOINT = re.compile(r"[ \-_.·]?")
# Capitals that are called one by one: three at most, or more without a vowel among them.
_SPELT_OUT = re.compile(f"[{_UPPER}]{{2,3}}|[B-DF-HJ-NP-TV-XZ]{{4,6}}")
# Of several words in a row, all but the rarest count with this share of their cost: words are predicted by others.
PREDICTED = 0.3
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


class _Name(NamedTuple):
    term: int
    forms: tuple[str, ...]


class Latin:
    """The index of terms with Latin letters by sound; `names` are pairs of a term's number and its canonical form."""

    def __init__(self, names: Sequence[tuple[int, str]]) -> None:
        self._names = [_Name(number, forms) for number, name in names if (forms := _forms(name))]
        self._few = len(self._names) <= MANY_TERMS

    def __len__(self) -> int:
        return len(self._names)

    def candidates(self, text: str, runs: Runs, per_syllable: float, worth: float) -> Iterator[Candidate]:
        """Stretches at most `per_syllable` nats a syllable from a term, and nearer than they are less ordinary text
        than costs `worth` nats."""
        if not self._names:
            return
        limit = per_syllable / SOUNDS_PER_SYLLABLE
        for start, end, sounds, usual in self._stretches(text, runs, worth):
            for name in self._near(sounds):
                yield from _compared(start, end, sounds, usual, self._names[name], limit, usual - worth)

    def _stretches(self, text: str, runs: Runs, worth: float) -> Iterator[tuple[int, int, str, float]]:
        """Start, end, sounds and usual cost of what may be a name."""
        parts = _parts(text)
        for first in range(len(parts)):
            costs: list[float] = []
            for last in range(first, min(first + _PARTS, len(parts))):
                if last > first and not parts[last].joined:
                    break
                start, end = parts[first].start, parts[last].end
                costs.append(_cost(parts[last].word))
                spaced = text.count(" ", start, end) > 0
                usual = max(costs) + (PREDICTED if spaced else 1.0) * (sum(costs) - max(costs))
                if usual > worth:
                    yield start, end, phones.sound(text[start:end]), usual
                yield from _with_sides(text, start, end, usual, runs, worth)
        if self._few:
            yield from self._written_in_chinese(text, runs, worth)

    def _near(self, sounds: str) -> Iterable[int]:
        """Names whose consonants are much the same; exactly the same where there are many names."""
        skeleton = phones.skeleton(sounds)
        if not self._few:
            return self._skeletons.get(skeleton, ())
        most = slack(skeleton)
        near = process.extract(
            skeleton, self._skeletons.keys(), scorer=Levenshtein.distance, score_cutoff=most, limit=None
        )
        return {name for other, wrong, _ in near if wrong <= slack(other) for name in self._skeletons[other]}

    @cached_property
    def _skeletons(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, name in enumerate(self._names):
            for skeleton in dict.fromkeys(map(phones.skeleton, name.forms)):
                found.setdefault(skeleton, []).append(number)
        return found

    def _written_in_chinese(self, text: str, runs: Runs, worth: float) -> Iterator[tuple[int, int, str, float]]:
        automaton, table = self._writings
        if automaton is None:
            return
        for _, start, end in automaton.find_matches_as_indexes(text.translate(table), overlapping=True):
            if runs.holds(start, end) and (usual := runs.cost(start, end) - IN_CHINESE) > worth:
                yield start, end, _chinese(text[start:end]), usual

    @cached_property
    def _writings(self) -> tuple[Any, _Onsets]:
        from ahocorasick_rs import AhoCorasick

        writings = {w for name in self._names for form in name.forms for w in _onsets(form)}
        return (AhoCorasick(sorted(writings), store_patterns=False) if writings else None), _Onsets()


def _compared(
    start: int, end: int, sounds: str, usual: float, name: _Name, limit: float, budget: float
) -> Iterator[Candidate]:
    consonants = phones.skeleton(sounds)
    for form in name.forms:
        most = min(limit * len(form), budget) / NATS
        if Levenshtein.distance(consonants, phones.skeleton(form)) * phones.CHEAPEST > most:
            continue
        wrong = phones.apart(sounds, form, most)
        if wrong <= most:
            yield Candidate(start, end, name.term, wrong * NATS, usual, len(form) / SOUNDS_PER_SYLLABLE)


def sounds(text: str) -> str:
    """How a text of Latin letters, Chinese characters or both sounds, in the letters of `phones`."""
    return "".join(_chinese(p) if CHINESE.match(p) else phones.sound(p) for p in _SCRIPTS.findall(text))


def _forms(name: str) -> tuple[str, ...]:
    """How a name with Latin letters sounds: as a word, and with capitals that stand together called one by one."""
    if not _PART.search(name):
        return ()
    spelt = "".join(_chinese(p) if CHINESE.match(p) else _called(p) for p in _SCRIPTS.findall(name))
    heard = (sounds(name), spelt)
    usable = (f for f in heard if len(f) >= _FEWEST_SOUNDS and len(phones.skeleton(f)) >= _FEWEST_CONSONANTS)
    return tuple(dict.fromkeys(usable))


def _called(piece: str) -> str:
    return "".join(phones.called(w) if _SPELT_OUT.fullmatch(w) else phones.sound(w) for w in _PART.findall(piece))


def _cost(word: str) -> float:
    stem, _, ending = word.lower().replace("’", "'").partition("'")
    return _CONTRACTED if ending and ending != "s" else latin_cost(stem)


def _parts(text: str) -> list[Part]:
    found: list[Part] = []
    for match in _PART.finditer(text):
        joined = bool(found) and _JOINT.fullmatch(text, found[-1].end, match.start()) is not None
        found.append(Part(match.start(), match.end(), match[0], joined))
    return found


def _with_sides(
    text: str, start: int, end: int, usual: float, runs: Runs, worth: float
) -> Iterator[tuple[int, int, str, float]]:
    """text[start:end], Latin, with Chinese characters that stand right before or behind."""
    before, behind = runs.reach(start, -_SIDE), runs.reach(end, _SIDE)
    if not before and not behind:
        return
    middle = phones.sound(text[start:end])
    for left in range(before + 1):
        for right in range(behind + 1):
            if left or right:
                cost = usual - IN_CHINESE
                cost += _BESIDE * runs.cost(start - left, start) if left else 0.0
                cost += _BESIDE * runs.cost(end, end + right) if right else 0.0
                if cost > worth:
                    sounds = _chinese(text[start - left : start]) + middle + _chinese(text[end : end + right])
                    yield start - left, end + right, sounds, cost


def _chinese(run: str) -> str:
    options = map(pinyin.syllables, run)
    return "".join(phones.of_syllable(*pinyin.parts(readings[0])) for readings in options if readings)


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


class _Onsets(dict[int, str]):
    """For str.translate: Chinese characters become the class of the consonant they begin with."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        readings = pinyin.syllables(char)
        self[code] = _CODES[_onset(readings[0])] if readings else ("\ufffd" if 0xE000 <= code <= 0xF8FF else char)
        return self[code]


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
