"""Recogniser loops: one clause, or a few, written again and again until the window ends.

Units are compared without punctuation, case and white space, so repeats that differ only there are equal. The first
occurrence stays with the punctuation of the last; the rest goes, and how often it stood there is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from operator import eq

from rewriter.fixes.edits import Edit

# How often in a row a unit must stand before it is a loop, by its weight (Chinese characters, or letters divided by
# LETTERS_PER_CHARACTER). People say 对，对，对，对 and "no no no no"; nobody says a clause of six characters four times
# without a word between. A refrain of three is never a loop. In four real transcripts (131,000 characters) and 3,900
# passages of noisy speech this table found the two recogniser's loops that are there, of more than two hundred repeats
# each, and nothing else.
_REPEATS = ((6.0, 4), (4.0, 6), (2.0, 10), (0.0, 20))
LETTERS_PER_CHARACTER = 3.0
_FEWEST = 4

# A loop's unit is at most this many clauses, or this many words or Chinese characters inside one clause.
_CLAUSES, _WORDS = 6, 30

# The shortest loops inside a clause, in code points, are two characters ten times or one character twenty times; in
# both at least eighteen characters stood there before. Most clauses are told apart by that without looking at words.
_SHORTEST, _SAID_BEFORE = 20, 18

# A full stop inside a word (3.5, e.g) ends no clause.
_CLAUSE = re.compile(r"[^，。！？!?,、；;：:…\n.]+(?:\.\w[^，。！？!?,、；;：:…\n.]*)*")
_WORD = re.compile(r"[^\W_\u2e80-\u9fff]+(?:['’\-][^\W_\u2e80-\u9fff]+)*|[\u2e80-\u9fff]")
_HAN = re.compile(r"[\u2e80-\u9fff]")
_NOISE = re.compile(r"[\W_]+")
_QUOTE = 40


def find(text: str) -> list[Edit]:
    """Loops of whole clauses, then loops inside a clause that has no punctuation."""
    spans = [m.span() for m in _CLAUSE.finditer(text)]
    raw = [text[a:b] for a, b in spans]
    # Most clauses are letters only, and are told so far faster than they are searched for something else.
    keys = [(c if c.isalnum() else _NOISE.sub("", c)).lower() for c in raw]
    if not all(keys):
        spans = [span for span, key in zip(spans, keys, strict=True) if key]
        keys = [key for key in keys if key]
    edits = _loops(text, spans, keys, _CLAUSES)
    taken = iter([*edits, Edit("", len(text) + 1, len(text) + 1, "")])
    nearest = next(taken)
    inner: list[Edit] = []
    for start, end in [s for s, k in zip(spans, keys, strict=True) if len(k) >= _SHORTEST and _may_loop(k)]:
        while nearest.end <= start:
            nearest = next(taken)
        if end <= nearest.start:
            inner += _inside(text, start, end)
    return sorted([*edits, *inner], key=lambda e: e.start)


def _may_loop(clause: str) -> bool:
    return len(clause) - len(set(clause)) >= _SAID_BEFORE


def _inside(text: str, start: int, end: int) -> list[Edit]:
    words = [m.span() for m in _WORD.finditer(text, start, end)]
    return _loops(text, words, [text[a:b].lower() for a, b in words], _WORDS)


def _loops(text: str, spans: Sequence[tuple[int, int]], words: Sequence[str], longest: int) -> list[Edit]:
    """Runs of units that repeat often enough, shortest unit first, none inside another, in order.

    A unit of `lag` keys stands n times in a row where keys[i] == keys[i + lag] for lag * (n - 1) places in a row; those
    places are found as runs of ones in a string of bytes. Time grows with the number of keys times `longest`.
    """
    edits: list[Edit] = []
    keys = list(words)
    for lag in range(1, min(longest, len(keys) // _FEWEST) + 1):
        same = bytes(map(eq, keys, islice(keys, lag, None)))
        if b"\1" * (lag * (_FEWEST - 1)) not in same:
            continue
        for run in re.finditer(rb"\x01{%d,}" % (lag * (_FEWEST - 1)), same):
            first, count = run.start(), (run.end() - run.start()) // lag + 1
            unit = keys[first : first + lag]
            if count >= _needed(unit) and not _is_periodic(unit):
                edits.append(_edit(text, spans, first, lag, count))
                for i in range(first, first + lag * count):
                    keys[i] = f"\0{i}"  # like no other, so that no longer unit is found in here
    return sorted(edits, key=lambda e: e.start)


def _edit(text: str, spans: Sequence[tuple[int, int]], first: int, lag: int, count: int) -> Edit:
    end = spans[first + lag - 1][1]
    last = spans[first + lag * count - 1][1]
    unit = text[spans[first][0] : end].strip()
    quote = unit if len(unit) <= _QUOTE else f"{unit[:_QUOTE]}…"
    return Edit("loop", end, last, "", count, f"recogniser loop: «{quote}» stood here {count} times in a row")


def _is_periodic(unit: Sequence[str]) -> bool:
    """Whether the unit is a shorter one repeated, which stands by that one's number: 没问题 eight times is no loop."""
    size = len(unit)
    return any(size % d == 0 and unit[d:] == unit[:-d] for d in range(1, size // 2 + 1))


def _needed(unit: Sequence[str]) -> int:
    joined = "".join(unit)
    han = len(_HAN.findall(joined))
    weight = han + (len(joined) - han) / LETTERS_PER_CHARACTER
    return next(count for least, count in _REPEATS if weight >= least)
