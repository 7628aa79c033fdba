"""Which stretches are ways to write one name: they sound alike, and one is likelier a mishearing than ordinary text.

The odds are those of `sound`, with the text itself as the glossary: what stands there `count` times is a term with that
prior, and what sounds like it and is unusual as ordinary text may be it, misheard.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, takewhile
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from rewriter.glossary import phones, pinyin
from rewriter.glossary.beside import GENEROUS, MARKS
from rewriter.glossary.latin import NATS, SOUNDS_PER_SYLLABLE, slack
from rewriter.glossary.linting import ORDINARY
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.sound import MOST_USUAL, PER_SYLLABLE
from rewriter.glossary.unusual import Stretch, Stretches, parts, same_word
from rewriter.glossary.words import Reading, chinese_cost, latin_cost

# The share of a misheard name's occurrences that one wrong form has. With it, a name that stands there often has a
# good prior; that a recogniser hears a name wrong a third of the time is what makes anybody look for it.
ONE_FORM = 0.3
# Odds from which two stretches are taken for one name.
ENOUGH = 4.0
# A coarse class of sound that more stretches share than this tells nothing, and would take quadratic time.
_MOST_ALIKE = 400
# Two stretches that stand there once each prove little: they must sound the same but for close confusions (nats).
ONCE_APART = 2 * pinyin.CLOSE
# A family is longer than was found where this share of its occurrences has the same character beside it.
NEARLY_ALL = 0.8
_MOST_GROWN = 4
# A family whose commonest form is a word of the language (as for lint) counts where other forms stand there this often
# together: a word that is misheard once, 并且 as 平切, is none of a glossary's business.
ENOUGH_TIMES = 3
# Latin forms with fewer sounds or consonants are like too many words.
_FEWEST_SOUNDS = 3
_FEWEST_CONSONANTS = 2
_DIGITS = re.compile(r"\d+")


class Pair(NamedTuple):
    """`name` and `other`, keys of stretches, sound alike; `odds`, in nats, that they are one name."""

    odds: float
    name: str
    other: str


def families(found: Stretches) -> list[list[str]]:
    """Ways to write one name each, the commonest first; the surest families first."""
    pairs = sorted((*_chinese_pairs(found), *_latin_pairs(found)), key=lambda p: (-p.odds, p.name, p.other))
    every = {**found.chinese, **found.latin}
    grown = _joined(_stars(pairs))
    ordered = [sorted(forms, key=lambda form: (-every[form].count, every[form].usual, form)) for forms in grown]
    kept = [forms for forms in _without_nested(ordered) if not _ordinary(forms, every)]
    return _without_nested([_grown([every[form].text for form in forms], found) for forms in kept])


def _stars(pairs: Iterable[Pair]) -> list[list[str]]:
    """Each form joins the name it is nearest to. Not chains of pairs: those run from any name to any other."""
    members: dict[str, list[str]] = {}
    taken: set[str] = set()
    for _, name, other in pairs:
        if other in taken or other in members or (name in taken and name not in members):
            continue
        taken.update((name, other))
        members.setdefault(name, [name]).append(other)
    return list(members.values())


def _joined(groups: Sequence[list[str]]) -> list[list[str]]:
    """Groups whose forms have the very same sound are one."""
    homes: dict[str, int] = {}
    joined: list[list[str]] = []
    for forms in groups:
        sounds = {_sounds(form) for form in forms}
        at = next((homes[sound] for sound in sounds if sound in homes), len(joined))
        joined[at:] = joined[at:] or [[]]
        joined[at].extend(forms)
        homes.update(dict.fromkeys(sounds, at))
    return joined


def _sounds(form: str) -> str:
    if not CHINESE.fullmatch(form):
        return phones.sound(form)
    return " ".join(options[0] if options else "" for options in map(pinyin.syllables, form))


def _ordinary(forms: Sequence[str], every: Mapping[str, Stretch]) -> bool:
    """Whether the commonest form is a word of the language, and the others too rare to say that a name is behind it."""
    cost = min(chinese_cost(forms[0]), latin_cost(forms[0]))
    return cost <= ORDINARY and sum(every[form].count for form in forms[1:]) < ENOUGH_TIMES


def _without_nested(groups: Sequence[list[str]]) -> list[list[str]]:
    """Without groups whose forms are those of a smaller one with something before or behind."""
    homes = {form: number for number, forms in enumerate(groups) for form in forms}
    kept: list[list[str]] = []
    for number, forms in enumerate(groups):
        within = [{homes[part] for part in parts(form) if part in homes} for form in forms]
        if not set.intersection(*within) - {number}:
            kept.append(forms)
    return kept


def _grown(forms: list[str], found: Stretches) -> list[str]:
    """The forms with the Chinese characters that stand beside nearly all of them: 中 of 中科文革, 中科文歌."""
    if not all(CHINESE.fullmatch(form) for form in forms):
        return forms
    for _ in range(_MOST_GROWN):
        longer = [[char + form for form in forms] for char in found.before(forms[0])]
        longer += [[form + char for form in forms] for char in found.behind(forms[0])]
        total = sum(map(found.count, forms))
        longer = [
            more for more in longer if sum(map(found.count, more)) >= NEARLY_ALL * total and all(map(found.count, more))
        ]
        if not longer:
            break
        forms = longer[0]
    return forms


# --- Chinese ---------------------------------------------------------------------------------------------------------


def _chinese_pairs(found: Stretches) -> Iterator[Pair]:
    alike: dict[str, list[str]] = {}
    for form in found.chinese:
        alike.setdefault(pinyin.COARSE.of(form), []).append(form)
    pairs = (
        pair
        for forms in alike.values()
        if 1 < len(forms) <= _MOST_ALIKE
        for left, right in combinations(forms, 2)
        if (pair := _chinese_pair(left, right, found))
    )
    return _shortest(pairs)


def _chinese_pair(left: str, right: str, found: Stretches) -> Pair | None:
    name, other = sorted((left, right), key=lambda form: (-found.chinese[form].count, form))
    most = found.chinese[other].usual - ENOUGH
    apart = pinyin.distance(other, pinyin.ears(name), min(PER_SYLLABLE * len(name), most))
    if apart is None:
        return None
    if found.chinese[name].count == 1 and apart > ONCE_APART:
        return None
    odds = _worth(name, other, found) - apart
    return Pair(odds, name, other) if odds >= ENOUGH else None


def _worth(name: str, other: str, found: Stretches) -> float:
    """What `other` costs as ordinary text less what `name` costs as a name, both given the words that they share.

    What is the same before and behind proves nothing: in 用开源 and 有开源 only 用 and 有 speak, and 有 is ordinary.
    """
    reading = Reading(other)
    breaks = reading.breaks()
    start = max(at for at in breaks if name[:at] == other[:at])
    end = min(at for at in breaks if at > start and name[at:] == other[at:])
    shared = [part for part in (name[:start], name[end:]) if part]
    places = min(map(found.count, shared)) if shared else found.chinese_places
    usual = min(reading.cost(start, end), MOST_USUAL * (end - start))
    return usual - _prior(found.chinese[name].count, max(places, found.chinese[name].count))


def _shortest(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Without pairs that are a shorter pair and the same characters before or behind both."""
    kept: set[tuple[str, str]] = set()
    for pair in sorted(pairs, key=lambda p: len(p.name)):
        _, name, other = pair
        size = len(name)
        inner = ((a, b) for a in range(size) for b in range(a + 2, size + 1) if b - a < size)
        if not any(
            (name[a:b], other[a:b]) in kept and name[:a] == other[:a] and name[b:] == other[b:] for a, b in inner
        ):
            kept.update(((name, other), (other, name)))
            yield pair


def _prior(count: int, places: int) -> float:
    return math.log(places / count) - math.log(ONE_FORM)


# --- Latin letters ---------------------------------------------------------------------------------------------------


def _latin_pairs(found: Stretches) -> Iterator[Pair]:
    sounds = {form: phones.sound(form) for form in found.latin}
    usable = [
        f for f, s in sounds.items() if len(s) >= _FEWEST_SOUNDS and len(phones.skeleton(s)) >= _FEWEST_CONSONANTS
    ]
    skeletons: dict[str, list[str]] = {}
    for form in usable:
        skeletons.setdefault(phones.skeleton(sounds[form]), []).append(form)
    for name in usable:
        for other in _near(phones.skeleton(sounds[name]), skeletons):
            if pair := _latin_pair(name, other, sounds, found):
                yield pair


def _near(skeleton: str, skeletons: Mapping[str, Sequence[str]]) -> Iterator[str]:
    most = slack(skeleton)
    near = process.extract(skeleton, skeletons.keys(), scorer=Levenshtein.distance, score_cutoff=most, limit=None)
    for other, wrong, _ in near:
        if wrong <= slack(other):
            yield from skeletons[other]


def _latin_pair(name: str, other: str, sounds: Mapping[str, str], found: Stretches) -> Pair | None:
    if (found.latin[name].count, other) <= (found.latin[other].count, name):
        return None
    if same_word(name, other) or _differ_as_written(name, other):
        return None
    size = len(sounds[name]) / SOUNDS_PER_SYLLABLE
    usual = min(found.latin[other].usual, MOST_USUAL * size)
    worth = usual - _prior(found.latin[name].count, found.latin_places)
    most = min(PER_SYLLABLE * size, _own_words_apart(name, other), worth - ENOUGH) / NATS
    if most < 0 or (apart := phones.apart(sounds[other], sounds[name], most)) > most:
        return None
    return Pair(worth - apart * NATS, name, other)


def _own_words_apart(name: str, other: str) -> float:
    """How far apart forms of several words may sound, in nats, for what their own words are: what they share before and
    behind proves nothing. `AP Server` is not `OHS Server`, nor `decrypt the key` `decrypt a key`.

    A word of one's own has a consonant, and is as near as what a person may put in the other's place.
    """
    left, right = name.split(), other.split()
    before = _alike(left[:-1], right[:-1])
    behind = _alike(left[:before:-1], right[:before:-1])
    if not before + behind:
        return math.inf
    own, its = (phones.sound("".join(words[before : len(words) - behind])) for words in (left, right))
    if set(own) <= phones.VOWELS or set(its) <= phones.VOWELS:
        return -1.0
    return GENEROUS * PER_SYLLABLE * max(SOUNDS_PER_SYLLABLE, len(own), len(its)) / SOUNDS_PER_SYLLABLE


def _alike(left: Sequence[str], right: Sequence[str]) -> int:
    """How many words both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _differ_as_written(name: str, other: str) -> bool:
    """Whether they differ in marks alone, or in a number: Bitcoin++ is no mishearing of Bitcoin, nor Q3 of Q2."""
    numbers, others = _DIGITS.findall(name), _DIGITS.findall(other)
    return MARKS.sub("", name) == MARKS.sub("", other) or bool(numbers and others and numbers != others)
