"""Rough sound of words in Latin letters, so that `Zilliz` and `Zilis`, `Paddle` and `Pedal` come near each other.

Not a pronunciation: recognisers guess spellings of names they do not know by English habits, and so do these rules.
Sounds are written with one letter each: C as in church, S as in ship, others as usual; vowels a e i o u.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

# Spelling to sound, the first that fits from the left.
_RULES = (
    ("tch", "C"), ("sch", "S"), ("dge", "J"), ("igh", "ai"), ("tion", "San"), ("sion", "San"),
    ("ch", "C"), ("sh", "S"), ("ph", "f"), ("th", "t"), ("gh", "g"), ("ck", "k"), ("qu", "kw"), ("wh", "w"),
    ("wr", "r"), ("zh", "J"), ("ce", "se"), ("ci", "si"), ("cy", "si"), ("ge", "Je"), ("gi", "Ji"), ("gy", "Ji"),
    ("ee", "i"), ("ea", "i"), ("ie", "i"), ("ei", "e"), ("ai", "e"), ("ay", "e"), ("ey", "i"), ("oo", "u"), ("ou", "u"),
    ("oa", "o"), ("ow", "o"), ("au", "o"), ("aw", "o"), ("ew", "u"), ("ue", "u"), ("c", "k"), ("q", "k"), ("x", "ks"),
    ("j", "J"), ("y", "i"),
)  # fmt: skip
_RULE = re.compile("|".join(re.escape(spelling) for spelling, _ in _RULES))
_SOUND = dict(_RULES)
_TWICE = re.compile(r"([^aeiou])\1+")
_SILENT_E = re.compile(r"(?<=[^aeioucg])e$")
_SOFT = ("ce", "ge")  # where the silent e says how the letter before it sounds: voice, bridge
_ACCENTS = re.compile("[\u0300-\u036f]")
# How the letters and digits are called.
_NAMES = {
    "a": "e", "b": "bi", "c": "si", "d": "di", "e": "i", "f": "ef", "g": "Ji", "h": "eC", "i": "ai", "j": "Je",
    "k": "ke", "l": "el", "m": "em", "n": "en", "o": "o", "p": "pi", "q": "kiu", "r": "ar", "s": "es", "t": "ti",
    "u": "iu", "v": "vi", "w": "dabliu", "x": "eks", "y": "wai", "z": "zi",
}  # fmt: skip
VOWELS = frozenset("aeiou")
# Sounds made alike; a pair within a group costs less than any other.
_ALIKE = ("pb", "td", "kg", "fvp", "szS", "CJS", "mn", "lr", "wv", "CtS", "Jdz", "hk", "wu", "ngk")
# What an edit costs in units of one wrong consonant.
_VOWEL_NEAR = 0.25
_VOWEL_FAR = 0.6
_VOWEL_EXTRA = 0.5
_CONSONANT_ALIKE = 0.4
_CONSONANT_EXTRA = 1.0
_WRONG = 1.2
_NEAR_VOWELS = ("ie", "ea", "ao", "ou")
_EXTRA = {one: _VOWEL_EXTRA if one in VOWELS else _CONSONANT_EXTRA for one in "abcdefghijklmnopqrstuvwxyzCJS"}


@lru_cache(maxsize=65536)
def sound(word: str) -> str:
    """The sounds of a word, read as English would be; what is not a letter is left out."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", word)).lower()
    low = _TWICE.sub(r"\1", re.sub("[^a-z]", "", plain))
    if len(low) > 3:
        low = _SILENT_E.sub("", low)
    sounds = _RULE.sub(lambda match: _SOUND[match[0]], low)
    if len(low) > 3 and low.endswith(_SOFT):
        sounds = sounds.removesuffix("e")
    return once(sounds)


def once(sounds: str) -> str:
    """Sounds with each doubled consonant once, as one hears graph安娜."""
    return _TWICE.sub(r"\1", sounds)


def called(letters: str) -> str:
    """The sounds of letters called by their names, as in GPT."""
    return "".join(_NAMES.get(letter, "") for letter in letters.lower())


def apart(left: str, right: str, limit: float = 99.0) -> float:
    """The cheapest way to turn one string of sounds into the other, in wrong consonants; beyond `limit` any number
    above it.

    Weighted edit distance (Wagner and Fischer 1974).
    """
    if _at_least(left, right) > limit:
        return limit + 1
    costs, extras = _costs(), [_EXTRA[one] for one in right]
    row = [0.0, *accumulate(extras)]
    for old in left:
        instead, extra = costs[old], _EXTRA[old]
        before, diagonal = row[0] + extra, row[0]
        new = [before]
        for other, its_extra, above in zip(right, extras, row[1:], strict=True):
            best = diagonal + instead[other]
            if above + extra < best:  # noqa: PLR1730 (min() takes three times as long, and this is the innermost loop)
                best = above + extra
            if before + its_extra < best:  # noqa: PLR1730 (as above)
                best = before + its_extra
            new.append(best)
            before, diagonal = best, above
        if min(new) > limit:
            return limit + 1
        row = new
    return row[-1]


def _at_least(left: str, right: str) -> float:
    """What the numbers of vowels and consonants alone say. The cheapest vowel for a consonant is u for w."""
    (vowels, consonants), (other_vowels, other_consonants) = _counts(left), _counts(right)
    more_vowels, more_consonants = vowels - other_vowels, consonants - other_consonants
    swapped = min(abs(more_vowels), abs(more_consonants)) if more_vowels * more_consonants < 0 else 0
    return (
        swapped * _CONSONANT_ALIKE
        + (abs(more_vowels) - swapped) * _VOWEL_EXTRA
        + (abs(more_consonants) - swapped) * _CONSONANT_EXTRA
    )


@lru_cache(maxsize=65536)
def _counts(sounds: str) -> tuple[int, int]:
    vowels = sum(map(sounds.count, VOWELS))
    return vowels, len(sounds) - vowels


@lru_cache(maxsize=1)
def _costs() -> dict[str, dict[str, float]]:
    return {one: {other: _instead(one, other) for other in _EXTRA} for one in _EXTRA}


def _instead(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if one in VOWELS and other in VOWELS:
        return _VOWEL_NEAR if any(one in pair and other in pair for pair in _NEAR_VOWELS) else _VOWEL_FAR
    if any(one in group and other in group for group in _ALIKE):
        return _CONSONANT_ALIKE
    return _WRONG


_CLASS = {
    "p": "P", "b": "P", "m": "M", "f": "F", "v": "F", "t": "T", "d": "T", "n": "N", "l": "L", "r": "L", "k": "K",
    "g": "K", "h": "K", "C": "J", "J": "J", "s": "S", "z": "S", "S": "S", "w": "",
}  # fmt: skip
_CLASSES = {code: _CLASS.get(chr(code), "").replace("M", "N") for code in range(128)}


@lru_cache(maxsize=65536)
def skeleton(sounds: str) -> str:
    """The consonants by class, m and n as one, and whether a vowel comes first."""
    first = "A" if sounds[:1] in VOWELS else ""
    return first + sounds.translate(_CLASSES)


@lru_cache(maxsize=2048)
def of_syllable(initial: str, final: str) -> str:
    """The sounds of a Chinese syllable, by its initial and final (see `pinyin.parts`), in the same letters."""
    return _INITIAL.get(initial, initial) + _FINAL.get(final, final)


_INITIAL = {"zh": "J", "ch": "C", "sh": "S", "j": "J", "q": "C", "x": "S", "c": "C", "z": "z", "r": "r"}
_FINAL = {
    "ao": "au", "ang": "an", "ong": "on", "eng": "en", "ing": "in", "iao": "iau", "iu": "iu", "iang": "ian",
    "iong": "ion", "ui": "ue", "uang": "uan", "v": "iu", "ve": "iue", "van": "iuen", "vn": "iun", "er": "er", "ei": "e",
    "ou": "o", "uo": "o", "n": "en", "ng": "en", "ian": "ien",
}  # fmt: skip
