"""Sentences split by line breaks in text wrapped at a fixed width.

A block counts as wrapped if it has three lines or more and all but the last are about equally long; verse, lists,
speaker lines and one-line paragraphs are not. Timed text is never joined: its lines are cues.
"""

from __future__ import annotations

import re
from itertools import pairwise

from rewriter.fixes.edits import Edit

# Lines of wrapped text fill at least this share of the longest one; the rest is the room the next word did not fit in.
_FILLED = 0.8
# Shorter lines than this many columns (a Chinese character counts two) are verse, lists or captions.
_SHORTEST = 40
_FEWEST = 3

_BLOCK = re.compile(rf"(?:^[^\n]*\S[^\n]*(?:\n|\Z)){{{_FEWEST},}}", re.MULTILINE)
_ENDS = re.compile(r"[。！？!?.…:：;；”」』）)\]|]\s*$")
_NEW = re.compile(r"\s*(?:[-*+#>|•·]|\d+[.、)）]|\[|[^\s:：]{1,20}[:：])")
_HAN = re.compile(r"[\u2e80-\u9fff，、]")


def find(text: str) -> list[Edit]:
    """Line breaks inside a sentence: nothing takes their place between Chinese characters, a space elsewhere."""
    edits: list[Edit] = []
    for block in _BLOCK.finditer(text):
        lines = block[0].rstrip("\n").split("\n")
        if not _wrapped(lines):
            continue
        at = block.start()
        for line, following in pairwise(lines):
            end = at + len(line.rstrip())
            start_of_next = at + len(line) + 1 + len(following) - len(following.lstrip())
            if not _ENDS.search(line) and not _NEW.match(following):
                glue = "" if _HAN.match(line.rstrip()[-1]) and _HAN.match(following.lstrip()[0]) else " "
                edits.append(Edit("linebreak", end, start_of_next, glue))
            at += len(line) + 1
    return edits


def _wrapped(lines: list[str]) -> bool:
    widths = [len(line.rstrip()) + len(_HAN.findall(line)) for line in lines]
    longest = max(widths)
    full = all(w >= longest * _FILLED for w in widths[:-1])
    return longest >= _SHORTEST and full and not any(_NEW.match(line) for line in lines)
