"""Split text into passages: token-bounded, cut at good places, stable under edits.

Text is first cut into units (sentences; clauses where a sentence is long; words where a clause is). Units are grouped
in two steps. Blocks of one to four budgets are found by content alone: the span is cut at the candidate whose
neighbourhood hashes lowest, again and again (a Cartesian tree over hashes), so that an edit moves the cuts of the block
it falls in and no others. Within a block passages are filled evenly. Measured on a Chinese talk of 82,000 characters
with one sentence inserted, share of passages that stay the same: fixed size 40 to 66 %, greedy filling restarted at
paragraphs 90 %, this 99 %. Cutting by hash all the way down is as stable but leaves passages half empty.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from zlib import crc32

from rewriter.records import Passage, Record
from rewriter.tokens import TokenCounter

# Tokens of a passage for models that are not embedded. A passage is the unit of loss when a draft is rejected and of
# cost when an edit re-asks it; below 200 the prompt's fixed part outweighs the passage, above 400 models summarise.
DEFAULT_BUDGET = 250

# A block holds between one and this many budgets. More means fuller passages and more of them moved by an edit.
BLOCK_BUDGETS = 4

# A unit is at most this share of the budget, so that passages can be filled to at least half.
UNIT_SHARE = 0.5

# Code points on each side of a cut that decide its hash: about one clause. Less makes hashes of stock phrases collide.
NEIGHBOURHOOD = 16

# A line break outweighs a sentence end as a place for a block to end: its hash is divided by this.
PARAGRAPH_PULL = 8

# A speaker's turn of at most this many code points may share a passage with its neighbours: "对。" alone gives a model
# nothing to work with.
SHORT_TURN = 40

# Text without any punctuation is cut into stretches of this many code points before its tokens are counted, so that a
# megabyte of one character costs no more than a megabyte of prose.
LONGEST_COUNTED = 1000

_CLOSERS = "”’」』）)\\]》\"'"
# A full stop ends a sentence only before white space and not after an initial or a known abbreviation. The pattern
# begins with the characters it is about and looks back from there, so that the engine skips to them.
_SENTENCE = re.compile(
    rf"[。！？!?…\n.](?:(?<=[。！？!?…])[。！？!?…]*[{_CLOSERS}]*\s*|(?<=\n)\s*"
    rf"|(?<=\.)(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|Ms|vs|St)\.)(?<!\b(?:Mrs|etc|e\.g|i\.e)\.)[{_CLOSERS}]*\s+)"
)
_CLAUSE = re.compile(rf"[，,；;：:、][{_CLOSERS}]*\s*|\s+[-–—]+\s+|——")
_SAFE = re.compile(r"\s+|(?<=[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff])(?=[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff])")


class Region(Record):
    """A stretch text[start:end] that may be rewritten; `speaker` is None where there is none or several."""

    start: int
    end: int
    speaker: str | None = None


def regions(text: str, spans: Sequence[tuple[int, int, str | None]]) -> list[Region]:
    """Join neighbouring spans (start, end, speaker) into regions; passages never cross a region's edge.

    Neighbours are joined if only white space lies between them and the speaker stays the same, or one of the turns is
    short. Spans are in order and apart, in code points of `text`.
    """
    joined: list[Region] = []
    for start, end, speaker in spans:
        last = joined[-1] if joined else None
        if last is None or text[last.end : start].strip() or not _may_join(last, start, end, speaker):
            joined.append(Region(start=start, end=end, speaker=speaker))
        else:
            same = speaker if speaker == last.speaker else None
            joined[-1] = Region(start=last.start, end=end, speaker=same)
    return joined


def _may_join(last: Region, start: int, end: int, speaker: str | None) -> bool:
    return last.speaker == speaker or end - start <= SHORT_TURN or last.end - last.start <= SHORT_TURN


def split(text: str, *, budget: int, counter: TokenCounter, regions: Sequence[Region] | None = None) -> list[Passage]:
    """Cut text into passages of at most `budget` tokens.

    Passages of a region tile it exactly, white space included. `tokens` is the sum over a passage's units: the exact
    count, or a little above it where two units would have shared a token. Regions of white space have no passage.
    """
    whole = [Region(start=0, end=len(text))] if regions is None else regions
    passages: list[Passage] = []
    for region in whole:
        if not text[region.start : region.end].strip():
            continue
        for start, end, tokens in _split_region(text, region, budget, counter):
            passages.append(
                Passage(
                    index=len(passages),
                    start=start,
                    end=end,
                    text=text[start:end],
                    tokens=tokens,
                    speaker=region.speaker,
                )
            )
    return passages


def _split_region(text: str, region: Region, budget: int, counter: TokenCounter) -> list[tuple[int, int, int]]:
    ends, tokens = _units(text, region, max(1, int(budget * UNIT_SHARE)), counter)
    upto = [0, *accumulate(tokens)]
    weights = [_weight(text, end) for end in ends]
    found = []
    start = region.start
    for first, last in _blocks(upto, weights, budget):
        for a, b in _fill(upto, text, ends, first, last, budget):
            found.append((start, ends[b - 1], upto[b] - upto[a]))
            start = ends[b - 1]
    return found


# --- units -----------------------------------------------------------------------------------------------------------


def _units(text: str, region: Region, limit: int, counter: TokenCounter) -> tuple[list[int], list[int]]:
    """Where units end, and how many tokens each has; none has more than `limit` where it can be cut at all."""
    ends: list[int] = []
    tokens: list[int] = []

    def add(start: int, end: int, level: int) -> None:
        if end - start <= LONGEST_COUNTED:
            count = counter.count(text[start:end])
            if count <= limit or end - start == 1:
                ends.append(end)
                tokens.append(count)
                return
        for a, b in _finer(text, start, end, level):
            add(a, b, level + 1)

    for start, end in _cut(_SENTENCE, text, region.start, region.end):
        if text[start:end].strip() or not ends:
            add(start, end, 0)
        else:
            ends[-1] = end
            tokens[-1] += counter.count(text[start:end])
    return ends, tokens


def _finer(text: str, start: int, end: int, level: int) -> list[tuple[int, int]]:
    """The stretch cut one step finer: at clauses first, then in two near its middle."""
    if level == 0:
        clauses = _cut(_CLAUSE, text, start, end)
        if len(clauses) > 1:
            return clauses
    middle = (start + end) // 2
    reach = min(200, (end - start) // 4)
    places = [m.end() for m in _SAFE.finditer(text, middle - reach, middle + reach)]
    cut = min(places, key=lambda p: abs(p - middle), default=0)
    if not start < cut < end:
        cut = _whole_character(text, middle, start, end)
    return [(start, cut), (cut, end)]


def _whole_character(text: str, cut: int, start: int, end: int) -> int:
    """The cut moved so that combining marks and joiners stay with their base, where that is near."""
    from unicodedata import combining

    for place in range(cut, min(end, cut + 32)):
        if not combining(text[place]) and text[place] not in "\u200d\ufe0f" and text[place - 1] != "\u200d":
            return place
    return max(cut, start + 1)


def _cut(pattern: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The stretch cut after each match."""
    edges = [start, *(m.end() for m in pattern.finditer(text, start, end) if m.end() > m.start()), end]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def _weight(text: str, end: int) -> int:
    """The hash of a cut's neighbourhood; the lowest in a span is where a block ends."""
    around = text[max(0, end - NEIGHBOURHOOD) : end + NEIGHBOURHOOD]
    value = crc32(around.encode("utf-8", "surrogatepass"))
    return value // PARAGRAPH_PULL if text[end - 1] == "\n" else value


# --- grouping --------------------------------------------------------------------------------------------------------


def _blocks(upto: list[int], weights: list[int], budget: int) -> list[tuple[int, int]]:
    """Units first to last (half-open) of each block of at most BLOCK_BUDGETS budgets, in order."""
    done: list[tuple[int, int]] = []
    open_spans = [(0, len(weights))]
    while open_spans:
        first, last = open_spans.pop()
        if upto[last] - upto[first] <= BLOCK_BUDGETS * budget:
            done.append((first, last))
            continue
        # A cut after unit c-1: at least one budget from either end, so that no block is a crumb.
        low = max(first + 1, bisect_left(upto, upto[first] + budget))
        high = min(last - 1, bisect_right(upto, upto[last] - budget) - 1)
        cut = min(range(low, high + 1), key=lambda c: weights[c - 1])
        open_spans += [(cut, last), (first, cut)]
    return done


def _fill(upto: list[int], text: str, ends: list[int], first: int, last: int, budget: int) -> list[tuple[int, int]]:
    """Units of a block grouped into as few passages as fit, about equally full."""
    total = upto[last] - upto[first]
    groups = max(1, -(-total // budget))
    while True:
        cuts = _even_cuts(upto, text, ends, first, last, groups, budget)
        if cuts is not None:
            return list(zip([first, *cuts], [*cuts, last], strict=True))
        groups += 1


def _even_cuts(
    upto: list[int], text: str, ends: list[int], first: int, last: int, groups: int, budget: int
) -> list[int] | None:
    cuts: list[int] = []
    at = first
    for left in range(groups, 1, -1):
        share = (upto[last] - upto[at]) / left
        highest = bisect_right(upto, upto[at] + budget, at + 1, last) - 1
        lowest = max(at + 1, bisect_left(upto, upto[at] + share / 2, at + 1, last))
        places = range(lowest, highest + 1)
        if not places:
            return None
        aim = upto[at] + share
        at = min(places, key=lambda c: abs(upto[c] - aim) + _reluctance(text, ends[c - 1]) * share)
        cuts.append(at)
    return cuts if upto[last] - upto[at] <= budget else None


def _reluctance(text: str, end: int) -> float:
    """How much of a share we would move a cut to avoid this place: none at a paragraph's end, most inside a clause."""
    before = text[max(0, end - 40) : end].rstrip() if text[end - 1].isspace() else text[end - 1]
    mark = before[-1:] or "\n"
    if text[end - 1] == "\n":
        return 0.0
    if mark in "。！？!?….”」』）)\"'":
        return 0.1
    return 0.3 if mark in "，,；;：:、" else 0.6
