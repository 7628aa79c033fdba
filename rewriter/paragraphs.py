"""Paragraphs: in which of them a model is shown a text, and where the rewrite has them.

Recognisers and the tools behind them break text by time or length, in the middle of thoughts, and some end each such
piece with a full stop. A weak model takes a blank line for the beginning of its task and leaves out what stands before
it; any model takes the stop for the end of a sentence.
"""

from __future__ import annotations

import re

from rewriter.formats.cues import CLAUSE_END, CLOSING, SENTENCE_END, points

# A blank line, however many and whatever white space is in it: a paragraph ends.
_BREAK = re.compile(r"[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))+[ \t]*")
# What begins a paragraph that is more than the next sentence: a heading, an item, a quotation, a table, a speaker.
_OWN_LINE = re.compile(r"\s*(?:[#>|*+\-•]|\d{1,3}[.)、]|[^\s，。,.!?！？]{1,12}(?: [^\s，。,.!?！？]{1,12})?[:：])")
_MARKS = SENTENCE_END | CLAUSE_END | CLOSING
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")

# Of so many paragraphs at least can be told how they were made, and this share of them must be as expected.
FEWEST_PARAGRAPHS, NEARLY_ALL = 8, 0.95


def are_loose(text: str) -> bool:
    """Whether paragraphs were broken by length: nearly each ends in a full stop and nearly none has one inside.

    Then neither the stops nor the breaks say where a thought ends.
    """
    paragraphs = [p for p in map(str.strip, _BREAK.split(text)) if p]
    if len(paragraphs) < FEWEST_PARAGRAPHS:
        return False
    made = sum(p.endswith("。") and p.count("。") == 1 and len(p) > 1 for p in paragraphs)
    return made >= NEARLY_ALL * len(paragraphs)


def shown(text: str, *, loose: bool) -> str:
    """A text as a model is shown it: paragraphs of plain speech in one, loose ones without the stops between them.

    Where no mark stands before a break, the break is all that parts two words, and stays.
    """
    parts, start = [], 0
    for found in _BREAK.finditer(text):
        before, after = text[start : found.start()], text[found.end() :]
        if before[-1:] not in _MARKS or not after or _OWN_LINE.match(before) or _OWN_LINE.match(after):
            parts.append(text[start : found.end()])
        elif loose and before.endswith("。"):
            parts.append(f"{before[:-1]}，")
        else:
            parts.append(before if _WIDE.match(before[-1]) else f"{before} ")
        start = found.end()
    return "".join([*parts, text[start:]])


def with_paragraphs(draft: str, source: str) -> str:
    """The draft with the source's paragraph breaks, where a model ran two paragraphs together.

    Only breaks behind a sentence's end count, and only where a sentence ends in the draft too: recognisers break lines
    in the middle of sentences, and joining those is what a rewrite is for. Places are found by alignment.
    """
    breaks = [m for m in _BREAK.finditer(source) if source[: m.start()].rstrip()[-1:] in SENTENCE_END]
    if len(breaks) <= sum(1 for _ in _BREAK.finditer(draft)):
        return draft
    places = points(source, draft, [m.end() for m in breaks]) if breaks else []
    for found, at in reversed(list(zip(breaks, places, strict=True))):
        before, after = draft[:at].rstrip(), draft[at:].lstrip()
        between = draft[len(before) : len(draft) - len(after)]
        if before[-1:] in SENTENCE_END and after and "\n" not in between:
            draft = f"{before}{found[0]}{after}"
    return draft
