"""A source beside its rewrite on a terminal: aligned rows, what was lost, invented or changed marked in both.

Marks are signs as well as colours (as in wdiff: [-lost-] and {+new+}), so that they are there without colour too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from rewriter.checks.align import align
from rewriter.passages import split
from rewriter.records import Finding, Record, Verdict
from rewriter.report.visible import visible
from rewriter.tokens import counter_for

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Comparison", "Row", "rows", "show", "visible"]

# Tokens of a row at most: about two lines of a column, so that a finding is seen with its sentence and little else.
ROW_TOKENS = 80

Span = tuple[int, int]


class Comparison(Record):
    """Two texts and the verdict on them; spans are code points of the two texts."""

    source: str
    rewrite: str
    verdict: Verdict


class Row(NamedTuple):
    """source[...] stands beside rewrite[...], with the findings that begin there."""

    source: Span
    rewrite: Span
    findings: tuple[Finding, ...]


def rows(compared: Comparison) -> list[Row]:
    """Both texts in aligned rows, which tile them; each finding is in one row, each row may have several."""
    parts = split(compared.source, budget=ROW_TOKENS, counter=counter_for(""))
    bounds = [p.end for p in parts[:-1]]
    there = _places(compared.source, compared.rewrite, bounds)
    left = list(pairwise([0, *bounds, len(compared.source)]))
    right = list(pairwise([0, *there, len(compared.rewrite)]))
    held: list[list[Finding]] = [[] for _ in left]
    for finding in compared.verdict.findings:
        held[_row_of(finding, left, right)].append(finding)
    return [Row(a, b, tuple(f)) for a, b, f in zip(left, right, held, strict=True)]


def _places(source: str, rewrite: str, bounds: Sequence[int]) -> list[int]:
    """Where the places `bounds` of the source are in the rewrite, ascending."""
    ops = align(source, rewrite)
    ends = [op.b for op in ops]
    found = [0]
    for bound in bounds:
        op = ops[min(bisect_left(ends, bound), len(ops) - 1)]
        found.append(max(found[-1], min(op.c + bound - op.a, op.d)))
    return found[1:]


def _row_of(finding: Finding, left: Sequence[Span], right: Sequence[Span]) -> int:
    spans, at = (left, finding.source) if finding.source else (right, finding.draft)
    return max(0, bisect_right([a for a, _ in spans], at[0]) - 1) if at else 0


# --- on the terminal -------------------------------------------------------------------------------------------------


def show(compared: Comparison, *, everything: bool = False, color: str = "auto") -> None:
    """Print the rows that have findings (`everything`: all rows) and the verdict. `color`: auto, always or never."""
    console = _console(color)
    for row in rows(compared):
        if row.findings or everything:
            _print_row(console, compared, row)
    verdict = compared.verdict
    word = "[bold green]accepted[/]" if verdict.accepted else "[bold red]rejected[/]"
    rejecting = sum(f.severity == "reject" for f in verdict.findings)
    warnings = len(verdict.findings) - rejecting
    console.print(f"{word}, score {verdict.score:.2f}; findings: {rejecting} that reject, {warnings} that warn")


def _console(color: str) -> Console:
    from rich.console import Console

    forced = {"always": True, "never": False}.get(color)
    return Console(force_terminal=forced, no_color=True if color == "never" else None, highlight=False)


def _print_row(console: Console, compared: Comparison, row: Row) -> None:
    from rich.table import Table

    table = Table.grid(expand=True, padding=(0, 2))
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    table.add_row(
        _marked(compared.source, row.source, [f for f in row.findings if f.source], left=True),
        _marked(compared.rewrite, row.rewrite, [f for f in row.findings if f.draft], left=False),
    )
    console.rule(f"character {row.source[0]}", align="left", style="dim", characters="─")
    console.print(table)
    for finding in row.findings:
        style = "red" if finding.severity == "reject" else "yellow"
        console.print(f"{finding.severity:6}  {visible(finding.message)}", style=style, markup=False)


def _marked(text: str, span: Span, findings: Sequence[Finding], *, left: bool) -> Text:
    from rich.text import Text

    opening, closing, style = ("[-", "-]", "red") if left else ("{+", "+}", "green")
    marked = Text()
    at, end = span
    for a, b in _merged([s for f in findings if f.weight and (s := f.source if left else f.draft)]):
        start, stop = max(a, at), max(b, at)
        marked.append(visible(text[at:start]))
        marked.append(opening + visible(text[start:stop]) + closing, style=style)
        at = stop
    marked.append(visible(text[at : max(at, end)]))
    marked.rstrip()
    return marked


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch joined."""
    joined: list[Span] = []
    for a, b in sorted(spans):
        if joined and a <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    return joined
