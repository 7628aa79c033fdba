"""Full-width letters and digits, invisible characters, and white space noise. Never NFKC: it turns 10² into 102.

Every pattern begins with one of the characters it is about, and looks back and on from there: the engine skips to
those, where it tries a pattern that begins with a look-behind or a repeat at every character, ten times slower.
"""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit

_FULL = re.compile(r"[０-９Ａ-Ｚａ-ｚ][０-９Ａ-Ｚａ-ｚ]*")
_TO_HALF = {
    code: code - 0xFEE0 for a, b in (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ")) for code in range(ord(a), ord(b) + 1)
}
# Zero-width space, word joiner, a byte order mark in the middle. Joiners (200C, 200D) make letters and emoji and stay.
# So does a zero-width space after Thai, Lao, Burmese or Khmer, where it stands between words.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff][\u200b\u2060\ufeff]*(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]\u200b)")
# Several spaces between words, or one as wide as a Chinese character. Not at a line's start (indent) or end (a line
# break in markdown).
_SPACES = re.compile(r"[ \t\u00a0\u3000](?<![ \t\u00a0\u3000].)(?:[ \t\u00a0\u3000]++|(?<=\u3000))(?=\S)")
# A half-width comma, question or exclamation mark or semicolon between Chinese characters is a slip of the recogniser.
# Full stops and colons may belong to a number, a time or an address and stay.
_PUNCTUATION = re.compile(r"[,?!;](?<=[\u4e00-\u9fff].)(?=[\u4e00-\u9fff])")
_WIDE = {",": "，", "?": "？", "!": "！", ";": "；"}


def find(text: str) -> list[Edit]:
    """Edits named `width` and `space`; line breaks are left alone."""
    edits = [Edit("width", m.start(), m.end(), m[0].translate(_TO_HALF)) for m in _FULL.finditer(text)]
    edits += [Edit("space", m.start(), m.end(), "") for m in _INVISIBLE.finditer(text)]
    edits += [Edit("space", *m.span(), " ") for m in _SPACES.finditer(text) if _is_inside_line(text, m.start())]
    edits += [Edit("width", m.start(), m.end(), _WIDE[m[0]]) for m in _PUNCTUATION.finditer(text)]
    return sorted(edits, key=lambda e: e.start)


def _is_inside_line(text: str, at: int) -> bool:
    return at > 0 and not text[at - 1].isspace()
