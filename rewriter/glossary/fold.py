"""Text made comparable, one code point for one: letter case, width and Chinese script do not count; where a Latin word
ends does."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources

# Full-width letters, digits and the marks that names are written with, but not ，。！？（）：；: those are punctuation
# that Chinese text is full of, names hardly ever hold them, and leaving them alone makes folding four times as fast.
_MARKS = "＋－．／＃＆＿＠"
_WIDE = {
    chr(code): chr(code - 0xFEE0)
    for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B), *map(ord, _MARKS))
} | dict.fromkeys("\u3000\u00a0\t\r\n", " ")
# Scripts written without spaces, where a name begins and ends anywhere: Thai to Khmer, kana, Chinese, Hangul (its
# particles are written on to the word).
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_DIGITS = re.compile(r"\d+")


# Also a simplified character, though a rare one: 乾隆 is no 干隆.
_BOTH = "乾"


def _replacing(table: Mapping[str, str]) -> Callable[[str], str]:
    """One character for another. Not `translate`: where there is little to change, it takes ten times as long."""
    any_of = re.compile(f"[{re.escape(''.join(table))}]")
    return lambda text: any_of.sub(lambda match: table[match[0]], text)


_narrow = _replacing(_WIDE)


@lru_cache(maxsize=1)
def _script() -> dict[str, str]:
    """Traditional characters, and the simplified one of each: the table that the guard compares by."""
    table = json.loads(resources.files("rewriter").joinpath("checks", "script.json").read_text(encoding="utf-8"))
    return {old: new for old, new in zip(table["traditional"], table["simplified"], strict=True) if old not in _BOTH}


@lru_cache(maxsize=1)
def _simplified() -> Callable[[str], str]:
    return _replacing(_script())


@lru_cache(maxsize=1)
def _both() -> Callable[[str], str]:
    """Both at once, which takes less time than one after the other."""
    return _replacing(_WIDE | _script())


def narrow(text: str) -> str:
    """`text` in half width, white space as plain spaces; as long as `text`."""
    return _narrow(text)


def simplified(text: str) -> str:
    """`text` in simplified characters; as long as `text`."""
    return text if text.isascii() else _simplified()(text)


def fold(text: str) -> str:
    """`text` in half width, lower case and simplified characters; as long as `text`, so that offsets stay."""
    text = _narrow(text) if text.isascii() else _both()(text)
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)  # İ becomes two code points


def in_word(char: str) -> bool:
    """Whether `char` belongs to a word of a script that separates words by spaces: letter, digit, mark, underscore."""
    if char < "\u0300":
        return char.isalnum() or char == "_"
    if _UNSPACED.match(char):
        return False
    return char.isalnum() or unicodedata.category(char).startswith("M")


def cuts_word(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] begins or ends inside a longer word: `Ray` in `array`, `H100` in `H1000`.

    A number written on to a name of three letters or more does not make it another word: `GPT4`, `ChatGPT3.5`.
    """
    if start and in_word(text[start]) and in_word(text[start - 1]):
        return True
    if end == len(text) or not in_word(text[end - 1]):
        return False
    if end - start >= 3 and text[end - 1].isalpha() and (digits := _DIGITS.match(text, end)):
        end = digits.end()
    return end < len(text) and in_word(text[end])
