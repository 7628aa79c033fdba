"""The stretches of a passage that a rejected draft got wrong: to be asked for by themselves and put into the draft.

What a draft got right is kept. A model that is shown its mistakes and asked for the whole again makes others, or the
same ones; the figures are in docs/styles.md.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from rewriter.formats.cues import CLAUSE_END, CLOSING, OPENING, SENTENCE_END, points
from rewriter.records import Finding

Span = tuple[int, int]

# A stretch begins and ends where a clause does: shorter ones give a model half a thought, and of whole sentences, where
# a recogniser sets no full stops, little of a passage is left.
_CUT = re.compile(r"[。！？!?…；;，,：:、]+[”」』）)]?\s*(?!\d)|\.\s+|\s*\n\s*")

# A Chinese or Japanese character, or a word of another script.
_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_MARKS = SENTENCE_END | CLAUSE_END | CLOSING

# Kinds of findings that are runs of a draft with nothing against them in the source.
_PUT_IN = {"invented", "duplicate"}

# Letters of a stretch below which the next clause is taken along.
SHORTEST = 8

# Letters of a passage below which it is asked for as a whole: it is hardly longer than its stretch with what stands
# before it, and what is said here was measured on longer ones (benchmarks/repair.py).
LEAST = 60

# Where more than this share of the passage is wrong, or so many places of it, its stretches are no repair any more: the
# whole is asked for again, which costs no more calls than that and lets the model see it whole.
MOST, MANY = 0.5, 3


def without_invented(draft: str, findings: Sequence[Finding]) -> str:
    """The draft without the runs that the findings reject as not said, or said twice.

    Whether it is whole then is for the checker to see. The mark that ends such a run goes too where one stands before.
    """
    wrong = [f.draft for f in findings if f.severity == "reject" and f.kind in _PUT_IN and f.source is None and f.draft]
    for start, end in sorted(wrong, reverse=True):
        before, after = draft[:start].rstrip(), draft[end:].lstrip()
        if before[-1:] in {*_MARKS, ""}:
            after = after.lstrip("".join(SENTENCE_END | CLAUSE_END)).lstrip()
        draft = before + draft[len(before) : start] + after
    return draft.strip()


def stretches(source: str, draft: str, findings: Sequence[Finding]) -> list[Span]:
    """The clauses of `source`, as spans in order and apart, that hold what the findings reject.

    What the draft invented belongs to the clauses it stands at. Empty where nothing rejects, where a finding names no
    place, for a short passage, and where the clauses are most of it or more than MANY.
    """
    wrong = [f for f in findings if f.severity == "reject"]
    cuts = [0, *(m.end() for m in _CUT.finditer(source) if m.end() < len(source)), len(source)]
    spans: list[Span] = []
    if _letters(source) < LEAST:
        return []
    for finding in wrong:
        place = finding.source or (_place(source, draft, finding.draft) if finding.draft else None)
        if place is None:
            return []
        spans.append(_clauses(source, cuts, place))
    joined = list(_joined(sorted(spans)))
    small = sum(end - start for start, end in joined) <= MOST * len(source)
    return joined if small and len(joined) <= MANY else []


def put_back(source: str, draft: str, spans: Sequence[Span], rewrites: Sequence[str]) -> str:
    """The draft with the rewrites in the place of what it made of those spans of `source`.

    White space between a rewrite and its neighbours is what stands there in the source, and a full stop that a model
    sets at the end of a stretch is the source's comma where that has one.
    """
    places = _places(source, draft, spans)
    for (start, end), (low, high), text in reversed(list(zip(spans, places, rewrites, strict=True))):
        before, after = _marked(source[:start], draft[:low].rstrip()), draft[high:].lstrip()
        left, right = _space(source, start) * bool(before), _space(source, end) * bool(after)
        draft = f"{before}{left}{_ended(source[start:end], text)}{right}{after}"
    return draft


def _places(source: str, draft: str, spans: Sequence[Span]) -> list[Span]:
    """Where in the draft those spans of the source stand, or would.

    What is outside the spans is aligned with the draft, so that no word of a neighbour is taken for one of theirs: what
    the draft has between two neighbours is theirs. Alignment: Levenshtein distance over words and Chinese characters
    (rapidfuzz).
    """
    from rapidfuzz.distance import Levenshtein

    here = [w for w in _WORD.finditer(source) if not any(start <= w.start() < end for start, end in spans)]
    there = list(_WORD.finditer(draft))
    one, two = ([w[0].casefold() for w in words] for words in (here, there))
    moves = [op for op in Levenshtein.opcodes(one, two) if op.src_end > op.src_start]
    found: list[Span] = []
    for start, _ in spans:
        joint = sum(w.start() < start for w in here)  # so many words stand before the span
        last = next((op for op in moves if op.src_start < joint <= op.src_end), None)
        first = next((op for op in moves if op.src_start <= joint < op.src_end), None)
        low = min(last.dest_start + joint - last.src_start, last.dest_end) if last else 0
        high = min(first.dest_start + joint - first.src_start, first.dest_end) if first else len(there)
        found.append(_around(draft, there, low, max(low, high)))
    return found


def _around(draft: str, words: Sequence[re.Match[str]], low: int, high: int) -> Span:
    """The code points of words[low:high] of the draft; marks go with the word before, opening ones with the next."""
    start, end = words[low - 1].end() if low else 0, words[high].start() if high < len(words) else len(draft)
    while low and start < end and draft[start] in _MARKS:
        start += 1
    while end > start and draft[end - 1] in OPENING:
        end -= 1
    return start, end


def _place(source: str, draft: str, span: Span) -> Span:
    """The span of the source at which a span of the draft stands."""
    start, end = points(draft, source, list(span))
    return start, end


def _clauses(source: str, cuts: Sequence[int], place: Span) -> Span:
    """The clauses that a span touches; more of them until they hold some letters."""
    low = min(bisect_right(cuts, place[0]), len(cuts) - 1) - 1
    high = max(bisect_left(cuts, place[1]), low + 1)
    while _letters(source[cuts[low] : cuts[high]]) < SHORTEST and (low or high < len(cuts) - 1):
        low, high = (low, high + 1) if high < len(cuts) - 1 else (low - 1, high)
    return cuts[low], cuts[high]


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    """Sorted spans, those that touch made one."""
    here: Span | None = None
    for start, end in spans:
        if here is not None and start <= here[1]:
            here = here[0], max(here[1], end)
        else:
            if here is not None:
                yield here
            here = start, end
    if here is not None:
        yield here


def _letters(text: str) -> int:
    return sum(c.isalnum() for c in text)


def _marked(source: str, text: str) -> str:
    """The text before a stretch with the mark that ends it in the source, where it lost its own."""
    mark = source.rstrip()[-1:]
    return text + mark if text and mark in _MARKS and text[-1] not in _MARKS else text


def _space(source: str, at: int) -> str:
    """The white space around a place of the source; none at its ends."""
    if not 0 < at < len(source):
        return ""
    left, right = source[:at].rstrip(), source[at:].lstrip()
    return source[len(left) : len(source) - len(right)]


def _ended(source: str, text: str) -> str:
    """The rewrite with its full stop made the source's comma, where that ends in one."""
    text, mark = text.strip(), source.rstrip()[-1:]
    if mark in CLAUSE_END and text[-1:] in SENTENCE_END - {"?", "？", "!", "！"}:
        return text[:-1] + mark
    return text
