"""How alike two runs sound: Chinese as toneless pinyin with the usual confusions, Latin letters roughly by sound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz.distance import Indel

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


@lru_cache(maxsize=1)
def _readings() -> dict[int, str]:
    from pypinyin.pinyin_dict import pinyin_dict

    return pinyin_dict


@lru_cache(maxsize=16384)
def of_char(char: str) -> str:
    """The sound of one Chinese character: its first reading without tone, confusable sounds made one."""
    reading = _readings().get(ord(char), "").partition(",")[0].translate(_TONES)
    for pattern, new in _CONFUSIONS:
        reading = pattern.sub(new, reading)
    return reading or char


@lru_cache(maxsize=8192)
def of_form(form: str) -> str:
    """The sound of one token."""
    if len(form) == 1 and form >= "\u3400":
        return of_char(form)
    if form in SPELLED:
        return ""
    form = form.lstrip("#")
    for pattern, new in _LATIN:
        form = pattern.sub(new, form)
    return form


def alike(left: Sequence[str], right: Sequence[str]) -> float:
    """0 to 1: how alike two runs of tokens sound, as the share of letters of their sound that match in order."""
    return Indel.normalized_similarity("".join(map(of_form, left)), "".join(map(of_form, right)))
