"""Recogniser loops: one clause, or a few, written again and again until the window ends.

Units are compared without punctuation, case and white space, so repeats that differ only there are equal. The first
occurrence stays with the punctuation of the last; the rest goes, and how often it stood there is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewriter.fixes.edits import Edit

# How often in a row a unit must stand before it is a loop, by its weight (Chinese characters, or letters divided by
# LETTERS_PER_CHARACTER). People say 对，对，对，对 and "no no no no"; nobody says a clause of six characters four times
# without a word between. A refrain of three is never a loop. In 83,000 characters of one talk and three others this
# table found the recogniser's loop and nothing else.
_REPEATS = ((6.0, 4), (4.0, 6), (2.0, 10), (0.0, 20))
LETTERS_PER_CHARACTER = 3.0

# A loop's unit is at most this many clauses, or this many words or Chinese characters inside one clause.
_CLAUSES, _WORDS = 6, 30

# A clause with fewer words than this holds no loop of its own.
_SHORTEST = 8

_CLAUSE = re.compile(r"[^，。！？!?,、；;：:…\n]+")
_WORD = re.compile(r"[^\W_\u2e80-\u9fff]+(?:['’\-][^\W_\u2e80-\u9fff]+)*|[\u2e80-\u9fff]")
_HAN = re.compile(r"[\u2e80-\u9fff]")
_NOISE = re.compile(r"[\W_]+")
_QUOTE = 40


def find(text: str) -> list[Edit]:
    """Loops of whole clauses, then loops inside a clause that has no punctuation."""
    clauses = [(m.start(), m.end()) for m in _CLAUSE.finditer(text)]
    keys = [_NOISE.sub("", text[a:b]).lower() for a, b in clauses]
    keep = [i for i, key in enumerate(keys) if key]
    spans = [clauses[i] for i in keep]
    edits = _loops(text, spans, [keys[i] for i in keep], _CLAUSES)
    taken = iter([*edits, Edit("", len(text) + 1, len(text) + 1, "")])
    nearest = next(taken)
    inner: list[Edit] = []
    for start, end in spans:
        while nearest.end <= start:
            nearest = next(taken)
        if end - start > _SHORTEST and end <= nearest.start:
            inner += _inside(text, start, end)
    return sorted([*edits, *inner], key=lambda e: e.start)


def _inside(text: str, start: int, end: int) -> list[Edit]:
    words = [(m.start(), m.end()) for m in _WORD.finditer(text, start, end)]
    keys = [text[a:b].lower() for a, b in words]
    # Four repeats of anything leave at least three of its words said before; most clauses end here.
    if len(keys) < _SHORTEST or len(keys) - len(set(keys)) < min(3, len(keys) // 2):
        return []
    return _loops(text, words, keys, _WORDS)


def _loops(text: str, spans: Sequence[tuple[int, int]], keys: Sequence[str], longest: int) -> list[Edit]:
    """Runs in which keys[i] == keys[i + lag] long enough, shortest lag first, none inside another."""
    edits: list[Edit] = []
    taken = [False] * len(keys)
    for lag in range(1, min(longest, len(keys) // 2) + 1):
        run = 0
        for i, same in enumerate([*(a == b for a, b in zip(keys, keys[lag:], strict=False)), False]):
            if same and not taken[i]:
                run += 1
                continue
            if run >= lag and (edit := _edit(text, spans, keys, i - run, lag, run)):
                edits.append(edit)
                taken[i - run : i + lag] = [True] * (run + lag)
            run = 0
    return edits


def _edit(
    text: str, spans: Sequence[tuple[int, int]], keys: Sequence[str], first: int, lag: int, run: int
) -> Edit | None:
    count = run // lag + 1
    if count < _needed(keys[first : first + lag]):
        return None
    end = spans[first + lag - 1][1]
    last = spans[first + lag * count - 1][1]
    unit = text[spans[first][0] : end]
    quote = unit if len(unit) <= _QUOTE else f"{unit[:_QUOTE]}…"
    return Edit("loop", end, last, "", count, f"recogniser loop: «{quote}» stood here {count} times in a row")


def _needed(unit: Sequence[str]) -> int:
    joined = "".join(unit)
    han = len(_HAN.findall(joined))
    weight = han + (len(joined) - han) / LETTERS_PER_CHARACTER
    return next(count for least, count in _REPEATS if weight >= least)
