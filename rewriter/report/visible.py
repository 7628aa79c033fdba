"""Characters that steer a terminal or a page, made visible: a transcript is shown, never obeyed."""

from __future__ import annotations

import re

# Characters that turn the direction of what follows, by the names of the Unicode standard.
_DIRECTIONS = {
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
}
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with controls as their pictures (U+2400 block), direction marks by name, the rest of the unsafe as �.

    Line feeds stay, tabs become spaces.
    """
    return _UNSAFE.sub(lambda m: _picture(m[0]), text)


def on_one_line(text: str) -> str:
    """The text made visible, line feeds too: for the names of files, which may hold anything."""
    return visible(text).replace("\n", "␊")


def _picture(char: str) -> str:
    code = ord(char)
    if char == "\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code in {0x2028, 0x2029}:
        return "⏎"
    return f"⟦{_DIRECTIONS[code]}⟧" if code in _DIRECTIONS else "�"
