"""md: paragraphs are segments. All other blocks, and links, code and HTML inside paragraphs, are carried through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rewriter.formats.base import Body, Span
from rewriter.formats.srt import lines_of
from rewriter.records import Segment

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*(?:\r\n|\r|\n)(?:.*?(?:\r\n|\r|\n))??\1[ \t]*(?=\r|\n|\Z)", re.DOTALL)
_NOT_LINE_END = re.compile(r"[^\r\n]")
# In order: code, images and links (one level of brackets inside), reference links, autolinks and HTML, bare addresses.
_PROTECTED = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<link>!?\[(?:[^\[\]\\]|\\.|!?\[[^\[\]]*\](?:\([^()]*\))?)*\](?:\((?:[^()\\]|\\.|\([^()]*\))*\)|\[[^\[\]]*\])?)"
    r"|(?P<html><[A-Za-z/!?][^<>]*>)"
    r"|(?P<address>(?:https?|ftp)://[^\s<>\u3000-\u303f\uff00-\uffef]+)",
    re.DOTALL,
)
_COUNTED = {"link_open": 1, "image": 1, "code_inline": 1, "html_inline": 1}
# Code points. What stands between two links and is shorter ("see", "and") is carried through with them: it says too
# little by itself to be rewritten.
SHORTEST_STRETCH = 10


def parse(text: str, *, name: str) -> Body:
    """The paragraphs of a markdown text, cut around what must not change in them. Never fails."""
    spans = [s for block in _paragraphs(text) for s in block]
    return Body(text, tuple(Segment(index=i, start=s, end=e) for i, (s, e) in enumerate(spans)))


def _paragraphs(text: str) -> Iterator[list[Span]]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    lines = lines_of(text)
    tokens = parser.parse(_without_front_matter(text))
    for at, token in enumerate(tokens):
        if token.type == "paragraph_open" and token.level == 0 and token.map:
            first, last = token.map
            start, end = lines[first].start, lines[min(last, len(lines)) - 1].end
            yield _stretches(text, start, end, tokens[at + 1])


def _without_front_matter(text: str) -> str:
    """The text with its front matter blanked, line by line, so that line numbers stay."""
    match = _FRONT_MATTER.match(text)
    return _NOT_LINE_END.sub("", match.group()) + text[match.end() :] if match else text


def _stretches(text: str, start: int, end: int, inline: Token) -> list[Span]:
    """The parts of the paragraph text[start:end] that may be rewritten: all of it, or what is around links and code.

    A paragraph with something in it that the parser sees and we do not find is carried through whole.
    """
    known = [m for m in _PROTECTED.finditer(text, start, end) if _is_needed(m)]
    seen = [t for t in inline.children or [] if t.type in _COUNTED]
    if len(seen) > sum(1 for m in known if m.lastgroup != "address"):
        return []
    edges = [start, *(x for m in known for x in m.span()), end]
    pairs = [_trimmed(text, a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    shortest = SHORTEST_STRETCH if known else 1
    return [(a, b) for a, b in pairs if b - a >= shortest]


def _is_needed(match: re.Match[str]) -> bool:
    """Brackets alone, such as [laughs], are words unless they refer to something."""
    return match.lastgroup != "link" or match.group().endswith(")") or "][" in match.group() or "[^" in match.group()


def _trimmed(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
