"""Text with inline tags: the plain words, and the tags put back around and between new words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rewriter.formats.cues import points


@dataclass(frozen=True)
class Markup:
    """A format's inline tags, and how its text is escaped. `newline` is a line break in the raw text."""

    tags: re.Pattern[str]
    unescape: Callable[[str], str]
    escape: Callable[[str], str]


class Marked(NamedTuple):
    """Raw cue text taken apart: plain words, and (offset in the plain words, tag) in order."""

    plain: str
    tags: tuple[tuple[int, str], ...]


def unmark(raw: str, markup: Markup) -> Marked:
    """Plain words and tags of a cue's raw text."""
    plain, tags, at = "", [], 0
    for match in markup.tags.finditer(raw):
        plain += markup.unescape(raw[at : match.start()])
        tags.append((len(plain), match.group()))
        at = match.end()
    return Marked(plain + markup.unescape(raw[at:]), tuple(tags))


def remark(marked: Marked, new: str, markup: Markup) -> str:
    """Raw text for the new words. `new` replaces the plain words between the white space at their ends.

    Tags before the first word stay in front and tags after the last stay behind; tags between words go where the
    same words are now, in the same order, so that they nest as before.
    """
    plain = marked.plain
    first, last = len(plain) - len(plain.lstrip()), len(plain.rstrip())
    words = plain[:first] + new + plain[max(first, last) :]
    inner = [offset for offset, _ in marked.tags if first < offset < last]
    found = dict(zip(inner, points(plain, words, inner), strict=True))
    raw, at = "", 0
    for offset, tag in marked.tags:
        place = offset if offset <= first else len(words) - len(plain) + offset
        if offset in found:
            place = _beside_space(words, found[offset], opens=not tag.startswith("</"))
        place = max(at, min(place, len(words)))
        raw += markup.escape(words[at:place]) + tag
        at = place
    return raw + markup.escape(words[at:])


def _beside_space(text: str, at: int, *, opens: bool) -> int:
    """An opening tag stands at a word's beginning, a closing one at a word's end."""
    if opens:
        return at + len(text[at:]) - len(text[at:].lstrip())
    return len(text[:at].rstrip())
