"""txt: every line that holds something is a segment; line ends, indents and blank lines are carried through."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewriter.formats.base import Body
from rewriter.records import Piece, Segment

_LINE = re.compile(r"\S(?:[^\r\n]*\S)?")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_LONE_FEED = re.compile(r"(?<!\r)\n")


def parse(text: str, *, name: str) -> Body:
    """The lines of a text. Never fails."""
    found = enumerate(_LINE.finditer(text))
    return Body(text, tuple(Segment(index=i, start=m.start(), end=m.end()) for i, m in found))


def newline_of(text: str) -> str:
    """The kind of line end a text uses most; a line feed where it has none."""
    kinds = _NEWLINE.findall(text)
    return max(("\n", "\r\n", "\r"), key=kinds.count)


def with_newlines_of(text: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with their line feeds written as the text's line ends."""
    newline = newline_of(text)
    if newline == "\n":
        return list(pieces)
    return [piece.model_copy(update={"text": _LONE_FEED.sub(newline, piece.text)}) for piece in pieces]
