"""Text made comparable, one code point for one: letter case and width do not count; where a Latin word ends does."""

from __future__ import annotations

import re
import unicodedata

# Full-width letters, digits and the marks that names are written with, but not ，。！？（）：；: those are punctuation
# that Chinese text is full of, names hardly ever hold them, and leaving them alone makes folding four times as fast.
_WIDE = re.compile("[Ａ-Ｚａ-ｚ０-９＋－．／＃＆＿＠\u3000\u00a0\t\r\n]")
# Scripts written without spaces, where a name begins and ends anywhere: Thai to Khmer, kana, Chinese, Hangul (its
# particles are written on to the word).
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_DIGITS = re.compile(r"\d+")


def _narrow(match: re.Match[str]) -> str:
    char = ord(match[0])
    return chr(char - 0xFEE0) if char >= 0xFF01 else " "


def narrow(text: str) -> str:
    """`text` in half width, white space as plain spaces; as long as `text`."""
    return _WIDE.sub(_narrow, text)


def fold(text: str) -> str:
    """`text` in half width and lower case; as long as `text`, so that offsets stay."""
    text = narrow(text)
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
