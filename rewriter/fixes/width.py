"""Full-width letters and digits, invisible characters, and white space noise. Never NFKC: it turns 10² into 102."""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit

_FULL = re.compile(r"[０-９Ａ-Ｚａ-ｚ]+")
_TO_HALF = {
    code: code - 0xFEE0 for a, b in (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ")) for code in range(ord(a), ord(b) + 1)
}
# Zero-width space, word joiner, a byte order mark in the middle. Joiners (200C, 200D) make letters and emoji and stay.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]+")
# Several spaces between words. Not at a line's start (indent) or end (a line break in markdown).
_SPACES = re.compile(r"(?<=\S)(?:[ \t\u00a0]{2,}|\u3000+|[ \t\u00a0\u3000]{2,})(?=\S)")
# A half-width comma, question or exclamation mark between Chinese characters is a slip of the recogniser's.
_PUNCTUATION = re.compile(r"(?<=[\u4e00-\u9fff])([,?!;])(?=[\u4e00-\u9fff])")
_WIDE = {",": "，", "?": "？", "!": "！", ";": "；"}


def find(text: str) -> list[Edit]:
    """Edits named `width` and `space`; line breaks are left alone."""
    edits = [Edit("width", m.start(), m.end(), m[0].translate(_TO_HALF)) for m in _FULL.finditer(text)]
    edits += [Edit("space", m.start(), m.end(), "") for m in _INVISIBLE.finditer(text)]
    edits += [Edit("space", m.start(), m.end(), " ") for m in _SPACES.finditer(text)]
    edits += [Edit("width", m.start(), m.end(), _WIDE[m[1]]) for m in _PUNCTUATION.finditer(text)]
    return sorted(edits, key=lambda e: e.start)
