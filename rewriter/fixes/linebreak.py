"""Sentences split by line breaks in text wrapped at a fixed width.

A block counts as wrapped if it has three lines or more, all but the last about equally long, with punctuation inside
them; verse, lists, speaker lines, one-line paragraphs, and captions whose only punctuation is the line break are not.
Timed text is never joined: its lines are cues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from rewriter.fixes.edits import Edit

# Lines of wrapped text fill at least this share of the longest one; the rest is the room the next word did not fit in.
_FILLED = 0.8
# Shorter lines than this many columns (a Chinese character counts two) are verse, lists or captions.
_SHORTEST = 40
_FEWEST = 3

# A line ends like this where its sentence does, or where a hyphen may be part of the word or of the wrapping.
_ENDS = re.compile(r"[。！？!?.…:：;；”」』）)\]|\-]\s*$")
# A list item, a heading, a quote, a bracket, or a name of one to three words and a colon begins something new.
_NEW = re.compile(r"\s*(?:[-*+#>|•·]|\d+[.、)）]|\[|[^\s:：]{1,20}(?: [^\s:：]{1,20}){0,2}[:：])")
_HAN = re.compile(r"[\u2e80-\u9fff，、]")
_PUNCTUATION = re.compile(r"[，、。！？；,;!?]|\. ")


def find(text: str) -> list[Edit]:
    """Line breaks inside a sentence: nothing takes their place between Chinese characters, a space elsewhere."""
    edits: list[Edit] = []
    for start, lines in _blocks(text):
        if not _wrapped(lines):
            continue
        at = start
        for line, following in pairwise(lines):
            end = at + len(line.rstrip())
            start_of_next = at + len(line) + 1 + len(following) - len(following.lstrip())
            if not _ENDS.search(line) and not _NEW.match(following):
                glue = "" if _HAN.match(line.rstrip()[-1]) and _HAN.match(following.lstrip()[0]) else " "
                edits.append(Edit("linebreak", end, start_of_next, glue))
            at += len(line) + 1
    return edits


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that hold something, with where they start."""
    at, lines = 0, list[str]()
    for line in [*text.split("\n"), ""]:
        if line and not line.isspace():
            lines.append(line)
        else:
            if len(lines) >= _FEWEST:
                yield at - sum(len(x) + 1 for x in lines), lines
            lines = []
        at += len(line) + 1


def _wrapped(lines: list[str]) -> bool:
    lengths = [len(line.rstrip()) for line in lines]
    # A column is half to a whole character: where lengths alone rule it out, nothing is counted.
    if max(lengths) * 2 < _SHORTEST or min(lengths[:-1]) * 2 < max(lengths) * _FILLED:
        return False
    widths = [n + len(_HAN.findall(line)) for n, line in zip(lengths, lines, strict=True)]
    longest = max(widths)
    if longest < _SHORTEST or any(w < longest * _FILLED for w in widths[:-1]):
        return False
    inside = any(_PUNCTUATION.search(line, 0, n - 1) for n, line in zip(lengths, lines, strict=True))
    return inside and not any(_NEW.match(line) for line in lines)
