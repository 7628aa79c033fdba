"""How alike two runs sound: Chinese as toneless pinyin with the usual confusions, Latin letters roughly by sound."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rapidfuzz.distance import Indel

# From this share of matching letters of their sound, two runs are the same words heard differently.
ALIKE = 0.6
# Tone marks off: pinyin comes as zhòng.
_TONES = str.maketrans("āáǎàēéěèōóǒòīíǐìūúǔùǖǘǚǜüńňǹḿêếề", "aaaaeeeeooooiiiiuuuuvvvvvnnnmeee")
# Pairs that southern speakers and recognisers confuse: zh/z, ch/c, sh/s, n/l, f/h, r/l, -ng/-n.
_CONFUSIONS = (
    (re.compile("^(z|c|s)h"), r"\1"),
    (re.compile("^n(?=.)|^r"), "l"),
    (re.compile("^f"), "h"),
    (re.compile("ng$"), "n"),
)
# Words by which an address is dictated, which its written form turns into signs.
SPELLED = frozenset({"dot", "slash", "colon", "at", "dash", "hyphen", "underscore"})
_LATIN = (
    (re.compile("ph"), "f"),
    (re.compile("ck|q|c(?=[aou])"), "k"),
    (re.compile(r"(.)\1+"), r"\1"),
    (re.compile("ee|ea|ie|y"), "i"),
)
# How the letters of an abbreviation sound when they are said one by one (CL for sealed).
_NAMES = "a bi si di i ef ji eich ai jei kei el em en o pi kiu ar es ti yu vi dubliu eks wai zi"
_LETTERS = dict(zip("abcdefghijklmnopqrstuvwxyz", _NAMES.split(), strict=True))
# Longer words are not read letter by letter.
_LONGEST_SPELLED = 4
# Numbers as they sound among English words, spelled like the words they are taken for (L2 for Eltoo, 4 for for).
_SPOKEN = dict(
    zip("0123456789", ("zero", "won", "to", "three", "for", "five", "six", "seven", "ate", "nine"), strict=True)
)
_SPOKEN_ZH = {str(i): numeral for i, numeral in enumerate("零一二三四五六七八九十")}


@lru_cache(maxsize=1)
def _readings() -> dict[int, str]:
    """Character to its readings, "zhòng,chóng": the table of pypinyin, without the phrase tables its package loads.

    Importing the package takes 190 ms, its one table 20.
    """
    package = importlib.util.find_spec("pypinyin")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pypinyin is not installed", name="pypinyin")
    place = Path(package.origin).with_name("pinyin_dict.py")
    spec = importlib.util.spec_from_file_location("rewriter.checks._pinyin_dict", place)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("pypinyin has no pinyin_dict", name="pypinyin.pinyin_dict")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.pinyin_dict)


@lru_cache(maxsize=16384)
def readings(char: str) -> tuple[str, ...]:
    """The ways one Chinese character is read, without tone, confusable sounds made one; the usual way first."""
    marked = _readings().get(ord(char), "")
    return tuple(dict.fromkeys(_plain(r) for r in marked.split(","))) if marked else (char,)


def _plain(reading: str) -> str:
    reading = reading.translate(_TONES)
    for pattern, new in _CONFUSIONS:
        reading = pattern.sub(new, reading)
    return reading


@lru_cache(maxsize=16384)
def of_form(form: str, numbers: str = "digits") -> str:
    """The sound of one token; `numbers` says how a number is spoken: "digits" (as written), "chinese", "english"."""
    if len(form) == 1 and form >= "\u3400":
        return readings(form)[0]
    if form in SPELLED:
        return ""
    if form == "o" and numbers == "digits":
        return "0"  # four o, in a dictated number
    if form[0] == "#":
        form = form[1:]
        if numbers == "chinese" and form in _SPOKEN_ZH:
            return readings(_SPOKEN_ZH[form])[0]
        form = form if numbers == "digits" else _SPOKEN.get(form, form)
    for pattern, new in _LATIN:
        form = pattern.sub(new, form)
    return form


def spelled(word: str) -> str:
    """The sound of a short word of Latin letters read letter by letter; of another word, its usual sound."""
    if len(word) > _LONGEST_SPELLED or any(c not in _LETTERS for c in word):
        return of_form(word)
    return of_form("".join(_LETTERS[c] for c in word))


def alike(left: Sequence[str], right: Sequence[str]) -> float:
    """0 to 1: how alike two runs of tokens sound, as the share of letters of their sound that match in order.

    Runs as long as each other are also compared character by character with every way each is read.
    """
    return _alike(tuple(left), tuple(right))


@lru_cache(maxsize=32768)
def _alike(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    written = ["".join(side) for side in (left, right)]
    counted = ["#" in side for side in written]
    han = max("".join(written), default="") >= "\u3400"
    numbers = "digits" if counted[0] == counted[1] else "chinese" if han else "english"
    sounds = ["".join([of_form(f, numbers) for f in side]) for side in (left, right)]
    share = Indel.normalized_similarity(*sounds)
    if share >= ALIKE or len(left) != len(right) or not han:
        return share
    return max(share, sum(map(_shared, left, right)) / len(left))


def _shared(a: str, b: str) -> bool:
    if a == b:
        return True
    if len(a) != 1 or len(b) != 1 or min(a, b) < "\u3400":
        return False
    return not set(readings(a)).isdisjoint(readings(b))
