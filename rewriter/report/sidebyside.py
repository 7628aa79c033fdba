"""A source beside its rewrite on a terminal: aligned rows, what was lost, added or changed marked in both.

Marks are signs as well as colours (as in wdiff: [-lost-] and {+added+}), so that they are there without colour too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewriter.records import Finding, Record, Verdict
from rewriter.report.differences import Row, Run, differences
from rewriter.report.runs import FileView, PassageView, RunView
from rewriter.report.totals import needs_a_look, totals
from rewriter.report.visible import visible
from rewriter.report.wording import STATUSES, clock, dollars, headline

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Comparison", "show", "show_run"]

# A terminal of fewer columns has no room for two texts beside each other: they stand one below the other.
NARROW = 60
# Of a stretch that nobody needs to read (a loop, what a fix left out) so many code points are shown.
LONGEST = 60
# Opening and closing sign, and rich's style, for each kind of run; what a finding covers is bold as well.
_SIGNS = {
    "same": ("", "", ""),
    "lost": ("[-", "-]", "red"),
    "added": ("{+", "+}", "green"),
    "changed": ("[~", "~]", "yellow"),
    "term": ("<", ">", "blue"),
    "fix": ("(-", "-)", "bright_black"),
}


class Comparison(Record):
    """Two texts and the verdict on them; spans are code points of the two texts."""

    source: str
    rewrite: str
    verdict: Verdict


def show(compared: Comparison, *, everything: bool = False, color: str = "auto") -> None:
    """Print the rows that have findings (`everything`: all rows) and the verdict. `color`: auto, always or never."""
    console = _console(color)
    verdict = compared.verdict
    for row in differences(compared.source, compared.rewrite, findings=verdict.findings):
        if row.findings or everything:
            console.rule(f"character {row.source_span[0]}", align="left", style="dim", characters="─")
            _print_row(console, row, verdict.findings)
    word = "[bold green]accepted[/]" if verdict.accepted else "[bold red]rejected[/]"
    rejecting = sum(f.severity == "reject" for f in verdict.findings)
    warnings = len(verdict.findings) - rejecting
    console.print(f"{word}, score {verdict.score:.2f}; findings: {rejecting} that reject, {warnings} that warn")


def show_run(run: RunView, *, everything: bool = False, color: str = "auto") -> None:
    """Print a run: its figures, and what differs in the passages that need a look (`everything`: all of all)."""
    console = _console(color)
    for file, passage in run.passages:
        if everything or needs_a_look(passage.outcome):
            _print_passage(console, file, passage, everything)
    counted = totals(run)
    attention = sum(needs_a_look(p.outcome) for _, p in run.passages)
    console.print(headline(counted, attention), markup=False)
    found = ", ".join(f"{kind} {n.shipped + n.rejected}" for kind, n in counted.findings.items())
    fixed = ", ".join(f"{name} {n.times}" for name, n in counted.fixes.items())
    usage = counted.usage
    for name, said in (
        ("found", found),
        ("fixes", fixed),
        ("cost", f"{dollars(counted.cost)}, {usage.calls:,} calls, {usage.input:,} tokens in, {usage.output:,} out"),
    ):
        if said:
            console.print(f"{name}: {said}", markup=False)


# --- drawing ---------------------------------------------------------------------------------------------------------


def _console(color: str) -> Console:
    from rich.console import Console

    forced = {"always": True, "never": False}.get(color)  # auto: where it goes to a terminal, and NO_COLOR is not set
    return Console(force_terminal=forced, no_color=None if forced is None else not forced, highlight=False)


def _print_passage(console: Console, file: FileView, passage: PassageView, everything: bool) -> None:
    outcome = passage.outcome
    time = f"  {clock(passage.begin)}" if passage.begin is not None else ""
    who = f"  {passage.speaker}" if passage.speaker else ""
    title = f"{file.name} {passage.number}  {STATUSES[outcome.status][0]}{time}{who}"
    console.rule(_plain(title), align="left", style="dim", characters="─")
    if outcome.status == "kept":
        against = "; the draft that was turned down is on the right" if outcome.rejected is not None else ""
        console.print(f"kept as it was said: {visible(outcome.reason)}{against}", style="red", markup=False)
    for row in passage.rejected_rows() or passage.rows():
        if everything or row.findings or any(run.kind != "same" for run in (*row.source, *row.result)):
            _print_row(console, row, outcome.findings)


def _print_row(console: Console, row: Row, findings: Sequence[Finding]) -> None:
    from rich.table import Table

    source, result = _marked(row.source), _marked(row.result)
    if console.width < NARROW:
        console.print(source)
        console.print(result)
    else:
        table = Table.grid(expand=True, padding=(0, 2))
        table.add_column(ratio=1, overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        table.add_row(source, result)
        console.print(table)
    for finding in (findings[n] for n in row.findings):
        style = "red" if finding.severity == "reject" else "yellow"
        console.print(f"{finding.severity:6}  {visible(finding.message)}", style=style, markup=False)


def _marked(runs: Sequence[Run]) -> Text:
    from rich.text import Text

    marked = Text()
    for run in runs:
        opening, closing, style = _SIGNS[run.kind]
        text = _short(run.text) if run.finding < 0 and run.kind != "same" else run.text
        strong = f"bold {style}".strip() if run.finding >= 0 else style
        if text:
            marked.append(opening + visible(text) + closing, style=strong)
        marked.append(visible(run.after), style=style)
    marked.rstrip()
    return marked


def _plain(text: str) -> Text:
    from rich.text import Text

    return Text(visible(text))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
