"""A source and what was made of it as aligned rows of marked runs: what HTML, terminal and review desk draw.

Rows end where sentences of the result end; words are compared as they are written, so that a changed capital or a
traditional character shows, and punctuation is not compared: a recogniser writes none. What the guard thinks of a
difference is a second layer: each run names the finding that covers it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from rewriter.checks.align import Op
from rewriter.records import Finding, Fix
from rewriter.report.words import Words, compared

Kind = Literal["same", "lost", "added", "changed", "term", "fix"]
Span = tuple[int, int]

# Ends of sentences with what closes them. Half-width marks count before white space or another script only: not in
# <!-- or 3.5, but in 好!我们.
_SENTENCE = re.compile(r"[。！？…]+[!?”」』）)\"'’]*\s*|[!?]+[”\"'’)]*(?=[^\x21-\x7e]|$)\s*|\.[\"'”’)]*\s+|\s*\n\s*")
_CLAUSE = re.compile(r"[，,、；;：]\s*|:\s+")
_OPENING = "「『（【《〈“‘([{"
# Code points of a row: a sentence shorter than SHORT stands with the next one of its paragraph; where no sentence ends
# within LONG, which is about three lines of a column, a clause's end must do.
SHORT, LONG = 12, 110
# A changed stretch so many times longer on one side is a loss (or an addition) beside a change.
LOPSIDED = 3


class Run(NamedTuple):
    """A stretch of one side, all of one kind.

    `text` is what stands there; for a fix, what the recogniser wrote, and `after` what took its place before any model
    saw it. `finding` numbers the heaviest finding that covers it (-1: none). `note` is for a person.
    """

    kind: Kind
    text: str
    finding: int = -1
    after: str = ""
    note: str = ""


class Placed(NamedTuple):
    """A fix and where its replacement stands: source[start:end] == fix.after, code points of the compared source.

    A fix beside the compared source (what was left out before it) stands empty at its edge.
    """

    start: int
    end: int
    fix: Fix


class Row(NamedTuple):
    """Runs that stand side by side, their spans in the two compared texts, and the findings (numbers) that begin here.

    The rows' runs, joined, give the texts: `text` of the source's runs what the recogniser wrote, with `after` for the
    fixes the source compared; `text` of the result's runs the result.
    """

    source: tuple[Run, ...]
    result: tuple[Run, ...]
    source_span: Span
    result_span: Span
    findings: tuple[int, ...]


class _Mark(NamedTuple):
    start: int
    end: int
    kind: Kind


def differences(
    source: str,
    result: str,
    *,
    findings: Sequence[Finding] = (),
    fixes: Sequence[Placed] = (),
    terms: Collection[str] = (),
) -> list[Row]:
    """Both texts in rows. `findings` have spans of these texts; `terms` are names that a change may have put right.

    Time grows with length, see `checks.align`. Spans of fixes are in order and apart.
    """
    here, there, ops = compared(source, result)
    lost, added = _marks(ops, here, there, _spans_of(terms, result))
    drawn = [_drawn(placed) for placed in fixes]
    bounds = _bounds(result)
    cuts = _outside(_places(bounds, ops, here, there, source), drawn)
    left = list(pairwise([0, *cuts, len(source)]))
    right = list(pairwise([0, *bounds, len(result)]))
    edges = [*cuts, *(x for fix in drawn for x in (fix.start, fix.end))]
    before = _with_fixes(_runs(source, lost, _cover([f.source if f.weight else None for f in findings]), edges), drawn)
    after = _runs(result, added, _cover([f.draft if f.weight else None for f in findings]), bounds)
    sides = zip(_grouped(before, cuts), _grouped(after, bounds), left, right, _held(findings, left, right), strict=True)
    return [Row(*side) for side in sides]


# --- what the differing words are ------------------------------------------------------------------------------------


def _spans_of(terms: Collection[str], text: str) -> list[Span]:
    if not terms:
        return []
    pattern = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    return [m.span() for m in re.finditer(pattern, text)]


def _marks(ops: Iterable[Op], here: Words, there: Words, names: Sequence[Span]) -> tuple[list[_Mark], list[_Mark]]:
    lost: list[_Mark] = []
    added: list[_Mark] = []
    for op in ops:
        if op.equal:
            continue
        here_size, there_size = op.b - op.a, op.d - op.c
        left, right = _extent(here, op.a, op.b), _extent(there, op.c, op.d)
        kinds: tuple[Kind, Kind] = ("lost", "added")
        if here_size and there_size and any(a < right[1] and right[0] < b for a, b in names):
            kinds = ("term", "term")
        elif here_size and there_size and max(here_size, there_size) <= LOPSIDED * min(here_size, there_size):
            kinds = ("changed", "changed")
        if here_size:
            lost.append(_Mark(*left, kinds[0]))
        if there_size:
            added.append(_Mark(*right, kinds[1]))
    return lost, added


def _extent(tokens: Words, first: int, end: int) -> Span:
    return (tokens[first].start(), tokens[end - 1].end()) if first < end else (0, 0)


# --- where rows end --------------------------------------------------------------------------------------------------


def _bounds(text: str) -> list[int]:
    """Ends of rows but the last: of sentences, and of clauses where a sentence is long."""
    stops = sorted(
        [(m.end(), 1 if "\n" in m[0] else SHORT) for m in _SENTENCE.finditer(text)]
        + [(m.end(), LONG) for m in _CLAUSE.finditer(text)]
    )
    bounds = [0]
    for at, least in stops:
        if at - bounds[-1] >= least and len(text) - at >= min(least, SHORT):
            bounds.append(at)
    return bounds[1:]


def _places(
    bounds: Sequence[int],
    ops: Sequence[Op],
    here: Words,
    there: Words,
    source: str,
) -> list[int]:
    """Where the result's bounds are in the source, ascending."""
    starts = [t.start() for t in there]
    ends = [op.d for op in ops]
    found = [0]
    for bound in bounds:
        token = bisect_left(starts, bound)
        low, high = _range(token, ops, ends)
        found.append(max(found[-1], _best(low, high, here, source)))
    return found[1:]


def _range(token: int, ops: Sequence[Op], ends: Sequence[int]) -> Span:
    """Tokens of the source before which the result's token may stand: one, or any of a stretch that differs."""
    first, last = bisect_left(ends, token), bisect_right(ends, token)
    if first >= len(ops):
        return (ops[-1].b, ops[-1].b) if ops else (0, 0)
    op = ops[first]
    if op.equal and token < op.d:
        return op.a + token - op.c, op.a + token - op.c
    low = op.b if op.equal else op.a + (0 if op.c < token < op.d else op.b - op.a)
    behind = ops[last - 1] if last > first else op
    high = max(op.b, behind.b)
    if op.c == op.d == token:  # nothing stands for these tokens: they may go to either side
        low = op.a
    return low, high


def _best(low: int, high: int, here: Words, source: str) -> int:
    """The code point before one of the tokens low..high: behind a sentence's end, a clause's end, or the last."""
    best, rank = _start(high, here, source), 0
    for token in range(low, high + 1):
        behind, before = (here[token - 1].end() if token else 0), _start(token, here, source)
        for quality, stop in ((2, _SENTENCE), (1, _CLAUSE)):
            found = stop.search(source, behind, before)
            if found and quality >= rank:
                best, rank = found.end(), quality
                break
    while best and rank == 0 and source[best - 1] in _OPENING:
        best -= 1
    return best


def _start(token: int, here: Words, source: str) -> int:
    return here[token].start() if token < len(here) else len(source)


def _held(findings: Sequence[Finding], left: Sequence[Span], right: Sequence[Span]) -> list[tuple[int, ...]]:
    """The numbers of the findings that begin in each row; one without a place is in the first."""
    held: list[list[int]] = [[] for _ in left]
    for number, finding in enumerate(findings):
        spans, at = (left, finding.source) if finding.source else (right, finding.draft)
        held[max(0, bisect_right(spans, at[0], key=lambda s: s[0]) - 1) if at else 0].append(number)
    return [tuple(numbers) for numbers in held]


# --- runs ------------------------------------------------------------------------------------------------------------


class _Drawn(NamedTuple):
    """A fix's run, and the stretch source[start:end] that it takes the place of (empty for words that were only left
    out). `at` says with which character of the source it is shown."""

    start: int
    end: int
    at: int
    run: Run


def _drawn(placed: Placed) -> _Drawn:
    """What was only left out beside what stayed is shown alone: of 我们我们 that became 我们 one 我们 is the fix."""
    start, end, fix = placed
    note = f"{fix.name}: {fix.note}" if fix.note else fix.name
    if fix.after and fix.before.endswith(fix.after):
        return _Drawn(start, start, start, Run("fix", fix.before.removesuffix(fix.after), note=note))
    if fix.after and fix.before.startswith(fix.after):
        return _Drawn(end, end, end - 1, Run("fix", fix.before.removeprefix(fix.after), note=note))
    return _Drawn(start, end, start, Run("fix", fix.before, after=fix.after, note=note))


def _outside(cuts: Sequence[int], drawn: Sequence[_Drawn]) -> list[int]:
    """The cuts, moved to the end of the replacement that they stand in."""
    starts = [d.start for d in drawn]
    moved = []
    for cut in cuts:
        i = bisect_left(starts, cut) - 1
        moved.append(max(cut, drawn[i].end) if i >= 0 and drawn[i].end > drawn[i].start else cut)
    return moved


def _cover(spans: Sequence[Span | None]) -> list[tuple[int, int, int]]:
    """Findings' spans in order and apart, each with its number; the heaviest, which comes first, wins.

    One without weight is about the whole (letter for letter the same, the other script) and covers nothing.
    """
    taken: list[tuple[int, int, int]] = []
    for number, span in enumerate(spans):
        if span is None:
            continue
        at, end = span
        for a, b, _ in sorted(t for t in taken if t[0] < end and at < t[1]):
            if at < a:
                taken.append((at, a, number))
            at = max(at, b)
        if at < end:
            taken.append((at, end, number))
    return sorted(taken)


def _runs(
    text: str, marks: Sequence[_Mark], cover: Sequence[tuple[int, int, int]], more: Sequence[int]
) -> list[tuple[int, Run]]:
    """The text cut wherever a mark or a finding begins or ends, and at `more`; each run with where it starts."""
    edges = {0, len(text), *more, *(x for mark in marks for x in mark[:2]), *(x for span in cover for x in span[:2])}
    mark_starts, cover_starts = [m.start for m in marks], [c[0] for c in cover]
    runs = []
    for a, b in pairwise(sorted(e for e in edges if 0 <= e <= len(text))):
        m, c = bisect_right(mark_starts, a) - 1, bisect_right(cover_starts, a) - 1
        kind: Kind = marks[m].kind if m >= 0 and marks[m].end > a else "same"
        number = cover[c][2] if c >= 0 and cover[c][1] > a else -1
        runs.append((a, Run(kind, text[a:b], number)))
    return runs


def _with_fixes(runs: Sequence[tuple[int, Run]], drawn: Sequence[_Drawn]) -> list[tuple[int, Run]]:
    """The runs of the source with what the recogniser wrote in the place of every fix. No run reaches across one."""
    done: list[tuple[int, Run]] = []
    queue, hidden = list(drawn), 0
    for start, run in runs:
        while queue and queue[0].start <= start:
            fix = queue.pop(0)
            done.append((fix.at, fix.run._replace(finding=run.finding if fix.end > fix.start else -1)))
            hidden = max(hidden, fix.end)
        if start >= hidden:
            done.append((start, run))
    return [*done, *((fix.at, fix.run) for fix in queue)]


def _grouped(runs: Sequence[tuple[int, Run]], bounds: Sequence[int]) -> list[tuple[Run, ...]]:
    """The runs by row."""
    rows: list[list[Run]] = [[] for _ in range(len(bounds) + 1)]
    for at, run in runs:
        rows[bisect_right(bounds, at)].append(run)
    return [tuple(row) for row in rows]
