"""A rewrite cut into parts that belong to the cues it came from, by aligning its letters with the source's."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SENTENCE_END = frozenset("。！？!?.…；;")
CLAUSE_END = frozenset("，,、：:—")
CLOSING = frozenset("」』）】》〉”’)]}\"'")
OPENING = frozenset("「『（【《〈“‘([{")
# Straight quotes open as well as close, so a part may begin with one.
_NEVER_FIRST = (SENTENCE_END | CLAUSE_END | CLOSING) - frozenset("\"'")
_CLOSING_OR_SPACE = "".join(CLOSING) + " \t\r\n\u3000"
# Aligned like letters: they open a line (a dash for a speaker, a note sign for song) and must stay with it.
_SIGNS = frozenset("#♪♫♬*@&%$+=<>-–|/~^_")
# Code points looked at before a cut for the stop that ends a sentence: closing quotes and spaces are never more.
_LOOK_BACK = 8

# Scripts written without spaces: a cut may stand between any two of these letters.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3100-\u312f\u31a0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_LINE_BREAK = re.compile(r"[^\S\n]*\n\s*")


class _Block(NamedTuple):
    """Letters source[start:end] that stand for (or were replaced by) rewrite[to_start:to_end]."""

    start: int
    end: int
    to_start: int
    to_end: int


def distribute(source: str, rewrite: str, bounds: Sequence[int]) -> list[str]:
    """`rewrite` in len(bounds) + 1 parts, one for each cue of `source`.

    `bounds` are the inner cuts of `source` (code points, ascending). A part holds what became of its cue's words, ends
    between words, and takes the punctuation that follows it. Joined, the parts are the rewrite but for white space at
    the cuts. A part is empty only where all words of its cue are gone, or went into a longer word of its neighbour.

    Alignment: Levenshtein distance over letters and digits, case ignored (rapidfuzz, which falls back to Hirschberg's
    method, so memory grows with the length and not with its square).
    """
    cuts = [0, *points(source, rewrite, bounds), len(rewrite)]
    parts = [rewrite[a:b] for a, b in pairwise(cuts)]
    last = len(parts) - 1
    parts = [p.lstrip() if i > 0 else p for i, p in enumerate(parts)]
    return [p.rstrip() if i < last else p for i, p in enumerate(parts)]


def points(source: str, rewrite: str, bounds: Sequence[int]) -> list[int]:
    """Where in `rewrite` the places `bounds` of `source` are. Ascending; never inside a word of a spaced script."""
    here, there = _letters(source), _letters(rewrite)
    if not here or not there:
        return [len(rewrite)] * len(bounds)
    blocks = _blocks(source, here, rewrite, there)
    starts, ends = [b.start for b in blocks], [b.end for b in blocks]
    found: list[int] = []
    for bound in bounds:
        at = bisect_left(here, bound)
        low = _image(blocks, bisect_left(ends, at), at) if at else 0
        high = _image(blocks, bisect_right(starts, at) - 1, at) if at < len(here) else len(there)
        left = there[low - 1] + 1 if low else 0
        right = there[high] if high < len(there) else len(rewrite)
        cut = _best_cut(rewrite, left, max(left, right))
        found.append(max(cut, found[-1] if found else 0))
    return found


def _image(blocks: Sequence[_Block], which: int, at: int) -> int:
    block = blocks[which]
    return min(block.to_start + at - block.start, block.to_end)


def _letters(text: str) -> list[int]:
    return [i for i, c in enumerate(text) if c.isalnum() or c in _SIGNS]


def _blocks(source: str, here: list[int], rewrite: str, there: list[int]) -> list[_Block]:
    from rapidfuzz.distance import Levenshtein

    one, two = _without_case(source), _without_case(rewrite)
    return [
        _Block(op.src_start, op.src_end, op.dest_start, op.dest_end)
        for op in Levenshtein.opcodes("".join([one[i] for i in here]), "".join([two[i] for i in there]))
        if op.src_end > op.src_start
    ]


def _without_case(text: str) -> str:
    """Letter for letter: one that would become two (ß) stays as it is."""
    folded = text.casefold()
    return folded if len(folded) == len(text) else "".join(c if len(f := c.casefold()) != 1 else f for c in text)


def _best_cut(text: str, left: int, right: int) -> int:
    """The best place in text[left:right] to end a part, or the nearest word's edge if there is none."""
    middle = (left + right) / 2
    ranked = [(rank, abs(p - middle), p) for p in range(left, right + 1) if (rank := _rank(text, p)) is not None]
    if ranked:
        return min(ranked)[2]
    start, end = left, right
    while start > 0 and not _is_edge(text, start):
        start -= 1
    while end < len(text) and not _is_edge(text, end):
        end += 1
    return start if left - start < end - right else end


def _is_edge(text: str, at: int) -> bool:
    """Not inside a word: one of the neighbours is no letter, or is of a script without spaces."""
    if at <= 0 or at >= len(text):
        return True
    a, b = text[at - 1], text[at]
    return not (a.isalnum() or a in "'’") or not b.isalnum() or bool(_UNSPACED.match(a) or _UNSPACED.match(b))


def _rank(text: str, at: int) -> int | None:
    """How well a part may end at `at`, 0 best; None where it must not."""
    before = text[max(0, at - _LOOK_BACK) : at].rstrip(_CLOSING_OR_SPACE)[-1:]
    after = text[at : at + 1]
    if not _is_edge(text, at) or (at and text[at - 1] in OPENING) or (after and after in _NEVER_FIRST):
        return None
    if before in SENTENCE_END:
        return 0
    if before in CLAUSE_END:
        return 1
    return 2 if after.isspace() or not after else 3


def join_lines(text: str) -> str:
    """Lines made one: a space where words are spaced, nothing between letters or punctuation of unspaced scripts."""

    def joint(match: re.Match[str]) -> str:
        a, b = text[: match.start()][-1:], text[match.end() :][:1]
        return "" if not a or not b or (_is_wide(a) and _is_wide(b)) else " "

    return _LINE_BREAK.sub(joint, text)


def _is_wide(char: str) -> bool:
    return bool(_UNSPACED.match(char)) or "\uff00" <= char <= "\uff65" or char in "“”‘’…—"


def relined(source: str, rewrite: str) -> str:
    """`rewrite` in as many lines as `source`, broken at the same words; a line whose words are all gone is left out."""
    lines = source.split("\n")
    if len(lines) == len(rewrite.split("\n")) > 1 and all(x.strip() for x in rewrite.split("\n")):
        return rewrite
    flat = join_lines(rewrite)
    if len(lines) == 1:
        return flat
    bounds, at = [], 0
    for line in lines[:-1]:
        at += len(line) + 1
        bounds.append(at)
    return "\n".join(part for part in distribute(source, flat, bounds) if part.strip())
