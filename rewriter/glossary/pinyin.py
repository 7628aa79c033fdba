"""The sound of Chinese characters: toneless syllables, how far apart two of them sound, and coarse classes of them.

Distances are nats: minus the logarithm of how often a recogniser writes the one for the other, against writing a
character of the same sound. The order of magnitude is from 1,650 substitutions in 1,000 pairs of recogniser or typist's
errors and their correction: 65 in 100 kept the syllable, 16 changed the final (in/ing alone 2), 10 the initial, 8 both.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path

CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\u3007]+")
# The readings of each character of a word.
Spoken = tuple[tuple[str, ...], ...]
# How far apart parts of a syllable are: the confusions of southern speakers and of every recogniser (n/ng, zh/z, n/l);
# sounds made at the same place or with one feature changed; anything else.
CLOSE, RELATED, FAR = 1.0, 3.0, 5.0

_TONES = str.maketrans("āáǎàēéěèōóǒòīíǐìūúǔùǖǘǚǜüńňǹḿêếề", "aaaaeeeeooooiiiiuuuuvvvvvnnnmeee")
_INITIALS = re.compile("zh|ch|sh|[bpmfdtnlgkhjqxrzcs]?")
# Spellings with y and w, and u for ü, to the final that is heard.
_SPELT = {
    "yi": "i", "ya": "ia", "ye": "ie", "yao": "iao", "you": "iu", "yan": "ian", "yin": "in", "yang": "iang",
    "ying": "ing", "yong": "iong", "yu": "v", "yue": "ve", "yuan": "van", "yun": "vn", "yo": "o", "yai": "ai",
    "wu": "u", "wa": "ua", "wo": "uo", "wai": "uai", "wei": "ui", "wan": "uan", "wen": "un", "wang": "uang",
    "weng": "ong",
}  # fmt: skip
_AFTER_JQX = {"u": "v", "ue": "ve", "uan": "van", "un": "vn"}
# Final: glide, vowel, ending.
_PARTS = {
    "a": ("", "a", ""), "ai": ("", "a", "i"), "ao": ("", "a", "u"), "an": ("", "a", "n"), "ang": ("", "a", "ng"),
    "o": ("u", "o", ""), "ou": ("", "o", "u"), "ong": ("", "o", "ng"), "e": ("", "e", ""), "ei": ("", "e", "i"),
    "en": ("", "e", "n"), "eng": ("", "e", "ng"), "er": ("", "e", "r"), "i": ("", "i", ""), "in": ("", "i", "n"),
    "ing": ("", "i", "ng"), "ia": ("i", "a", ""), "ie": ("i", "e", ""), "iao": ("i", "a", "u"), "iu": ("i", "o", "u"),
    "ian": ("i", "e", "n"), "iang": ("i", "a", "ng"), "iong": ("i", "o", "ng"), "u": ("", "u", ""),
    "ua": ("u", "a", ""), "uo": ("u", "o", ""), "uai": ("u", "a", "i"), "ui": ("u", "e", "i"), "uan": ("u", "a", "n"),
    "uang": ("u", "a", "ng"), "un": ("u", "e", "n"), "v": ("", "v", ""), "ve": ("v", "e", ""), "van": ("v", "e", "n"),
    "vn": ("v", "i", "n"), "n": ("", "e", "n"), "ng": ("", "e", "ng"), "m": ("", "e", "n"), "": ("", "", ""),
}  # fmt: skip
_CLOSE_INITIALS = frozenset(
    frozenset(pair) for pair in (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("r", "l"), ("f", "h"))
)
_PLACES = ("bpmf", "dtnl", "gkh", "jqx", ("z", "c", "s", "zh", "ch", "sh", "r"))
_CLOSE_FINALS = frozenset(
    frozenset(pair)
    for pair in (("an", "ang"), ("en", "eng"), ("in", "ing"), ("ian", "iang"), ("uan", "uang"), ("un", "ong"))
)
# Coarse classes: what is CLOSE or RELATED mostly falls into one, so that equal classes find it.
_COARSE_INITIAL = {
    initial: number
    for number, group in enumerate((("b", "p", "m"), ("d", "t", "n", "l", "r"), ("g", "k", "h", "f"),
                                    ("j", "q", "x", "z", "c", "s", "zh", "ch", "sh"), ("",)))
    for initial in group
}  # fmt: skip
_COARSE_VOWEL = {"a": 0, "e": 1, "o": 2, "u": 3, "i": 4, "v": 4, "": 5}
# Polyphones are tried with this many of their readings, the most frequent first.
_READINGS = 3


@lru_cache(maxsize=1)
def _dictionary() -> Mapping[str, str]:
    """Code point, in decimal digits, to readings: `zhòng,chóng`.

    The table of pypinyin is read without importing the package, whose tables of phrases take ten times as long.
    """
    package = importlib.util.find_spec("pypinyin")
    table = Path(package.origin).with_name("pinyin_dict.json") if package and package.origin else None
    if table and table.exists():
        found: dict[str, str] = json.loads(table.read_bytes())
        return found
    from pypinyin.pinyin_dict import pinyin_dict  # should a later version keep it otherwise

    return {str(code): readings for code, readings in pinyin_dict.items()}


@lru_cache(maxsize=32768)
def syllables(char: str) -> tuple[str, ...]:
    """The readings of a Chinese character without tone, most frequent first; empty where it has none."""
    spelt = _dictionary().get(str(ord(char)), "").translate(_TONES)
    return tuple(dict.fromkeys(spelt.split(",")))[:_READINGS] if spelt else ()


def spoken(text: str, *, phrases: bool) -> Spoken:
    """The readings of each character of a Chinese term; with `phrases` the one it has in this word comes first."""
    readings = tuple(map(syllables, text))
    if not phrases or all(len(options) < 2 for options in readings):
        return readings
    from pypinyin import lazy_pinyin

    likely = lazy_pinyin(text)
    if len(likely) != len(text):
        return readings
    return tuple(tuple(dict.fromkeys((first, *rest))) for first, rest in zip(likely, readings, strict=True))


@lru_cache(maxsize=2048)
def parts(syllable: str) -> tuple[str, str]:
    """Initial and final as heard: `yuan` is ("", "van"), `xu` is ("x", "v")."""
    if syllable in _SPELT:
        return "", _SPELT[syllable]
    match = _INITIALS.match(syllable)
    initial = match[0] if match else ""
    final = syllable[len(initial) :]
    return (initial, _AFTER_JQX.get(final, final)) if initial in {"j", "q", "x"} else (initial, final)


@lru_cache(maxsize=65536)
def apart(left: str, right: str) -> float:
    """How far apart two syllables sound, in nats; 0 for the same."""
    if left == right:
        return 0.0
    (left_initial, left_final), (right_initial, right_final) = parts(left), parts(right)
    return _initials_apart(left_initial, right_initial) + _finals_apart(left_final, right_final)


@lru_cache(maxsize=2048)
def _initials_apart(left: str, right: str) -> float:
    if left == right:
        return 0.0
    if frozenset((left, right)) in _CLOSE_INITIALS:
        return CLOSE
    return RELATED if any(left in place and right in place for place in _PLACES if left and right) else FAR


@lru_cache(maxsize=2048)
def _finals_apart(left: str, right: str) -> float:
    if left == right:
        return 0.0
    if frozenset((left, right)) in _CLOSE_FINALS:
        return CLOSE
    if left not in _PARTS or right not in _PARTS:
        return FAR
    differing = sum(a != b for a, b in zip(_PARTS[left], _PARTS[right], strict=True))
    return RELATED if differing == 1 else FAR


def nearest(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    """How far apart two characters sound in those of their readings that are nearest."""
    for one in left:
        if one in right:
            return 0.0
    best = 2 * FAR
    for one in left:
        for other in right:
            best = min(best, apart(one, other))
            if best <= CLOSE:  # what differs is no nearer
                return best
    return best


class Voices(dict[str, int]):
    """Numbers the ways in which characters are read; those read alike have one number, what is not Chinese has 0."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: dict[int, tuple[str, ...]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self._next = count(1)  # of several threads no two are given the same number

    def __missing__(self, char: str) -> int:
        number = 0
        if CHINESE.match(char):
            readings, fresh = syllables(char), next(self._next)
            self.readings[fresh] = readings
            number = self._numbers.setdefault(readings, fresh)
        self[char] = number
        return number


VOICES = Voices()


class Ear(dict[int, float]):
    """How far each voice is from one character of a term, in nats: filled as they come up, for few ever do."""

    def __init__(self, options: tuple[str, ...]) -> None:
        super().__init__({0: float("inf")})
        self._options = options

    def __missing__(self, voice: int) -> float:
        readings, options = VOICES.readings[voice], self._options
        self[voice] = found = nearest(readings, options)
        return found


_ear = lru_cache(maxsize=8192)(Ear)


@lru_cache(maxsize=32768)
def _ear_of(char: str) -> Ear:
    return _ear(syllables(char))


def ears(term: str, *, phrases: bool = False) -> tuple[Ear, ...]:
    """What hears a term, character by character; see `spoken` for `phrases`."""
    return tuple(map(_ear, spoken(term, phrases=True)) if phrases else map(_ear_of, term))


def distance(run: str, ears: Sequence[Ear], limit: float) -> float | None:
    """How far a run sounds from a term of as many characters, in nats, or None where it is more than `limit`."""
    total = 0.0
    for char, heard in zip(run, ears, strict=True):
        total += heard[VOICES[char]]
        if total > limit:
            return None
    return total


@lru_cache(maxsize=2048)
def coarse(syllable: str) -> str:
    """The class of a syllable as one code point of the private use area."""
    initial, final = parts(syllable)
    vowel = _PARTS.get(final, ("", "", ""))[1]
    return chr(0xE000 + 8 * _COARSE_INITIAL.get(initial, 4) + _COARSE_VOWEL[vowel])


# Narrow classes: what is CLOSE falls into one, and nothing else does.
_ONE_INITIAL = {"zh": "z", "ch": "c", "sh": "s", "l": "n", "r": "n", "f": "h"}
_ONE_FINAL = {"ang": "an", "eng": "en", "ing": "in", "iang": "ian", "uang": "uan", "ong": "un"}
_NARROW_INITIALS = ("", "b", "p", "m", "d", "t", "n", "g", "k", "h", "j", "q", "x", "z", "c", "s")
_NARROW_FINALS = tuple(_PARTS)


@lru_cache(maxsize=2048)
def narrow(syllable: str) -> str:
    """The narrow class of a syllable as one code point of the private use area, above those of `coarse`."""
    initial, final = parts(syllable)
    initial, final = _ONE_INITIAL.get(initial, initial), _ONE_FINAL.get(final, final)
    if initial not in _NARROW_INITIALS or final not in _NARROW_FINALS:
        return "\ue0ff"
    return chr(0xE100 + len(_NARROW_FINALS) * _NARROW_INITIALS.index(initial) + _NARROW_FINALS.index(final))


# Stands in a list of classes where a character did not come up yet; no character of any text.
_UNSEEN = "\uffff"
_UNSEEN_ONE = re.compile(_UNSEEN)
_PLANE = 0x10000


class ClassTable:
    """Text in classes of sound: Chinese characters become the class of their likeliest syllable, all else stays.

    A list and not a dict: `str.translate` reads it in half the time. It is filled as characters come up, for reading
    all 27,000 takes longer than most commands do; those above U+FFFF are not in it and stay.
    """

    def __init__(self, classify: Callable[[str], str]) -> None:
        self._classify = classify
        self._classes = [_UNSEEN] * _PLANE

    def of(self, text: str) -> str:
        """The text in classes, one code point for one."""
        found = text.translate(self._classes)
        return _UNSEEN_ONE.sub(lambda match: self._class(text[match.start()]), found) if _UNSEEN in found else found

    def _class(self, char: str) -> str:
        if options := syllables(char):
            found = self._classify(options[0])
        else:
            found = "\ufffd" if "\ue000" <= char <= "\uf8ff" or char == _UNSEEN else char
        self._classes[ord(char)] = found
        return found


COARSE, NARROW = ClassTable(coarse), ClassTable(narrow)
