"""How a run shows itself while it goes: a bar on a terminal, plain lines elsewhere. Both write to standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rewriter.money import Chosen, cost
from rewriter.records import Outcome, Usage

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

# Seconds between two plain progress lines: a log of an hour's run stays under 400 lines.
PLAIN_EVERY = 10.0


class Plain:
    """A line when a file begins and ends, and one every ten seconds in between."""

    def __init__(self, choice: Chosen, *, quiet: bool = False) -> None:
        self.choice, self.quiet = choice, quiet
        self.total = self.finished = self.kept = 0
        self.usage = Usage()
        self.name = ""
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def file(self, name: str, passages: int) -> None:
        self.name, self.total, self.finished, self.kept = name, passages, 0, 0
        self._began = self._last = time.monotonic()
        self._say(f"{name}: {passages} passages")

    def outcome(self, outcome: Outcome) -> None:
        self.finished += 1
        self.kept += outcome.status == "kept"
        self.usage += outcome.usage
        if time.monotonic() - self._last >= PLAIN_EVERY:
            self._last = time.monotonic()
            self._say(f"{self.name}: {self.state()}")

    def state(self) -> str:
        """Passages, tokens, cost, kept and the time left, in one line."""
        money = cost(self.usage, self.choice)
        price = "cost unknown" if money is None else f"${money:.4f}"
        done = min(self.finished, self.total)
        left = (time.monotonic() - self._began) / max(done, 1) * (self.total - done)
        return (
            f"{done}/{self.total} passages, {self.usage.input + self.usage.output} tokens, {price}, "
            f"{self.kept} kept, about {left:.0f} s left"
        )

    def done(self, report: dict[str, Any]) -> None:
        counts = ", ".join(f"{n} {status}" for status, n in report["passages"].items() if n)
        again = " (finished by an earlier run)" if report.get("resumed") else ""
        self._say(f"{report['file']}: {counts or 'nothing to rewrite'}{again}")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


class Live(Plain):
    """A bar that moves, by rich."""

    _bar: Bar
    _task: TaskID

    def __enter__(self) -> Live:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.fields[name]}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", name="", state="", total=None)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def file(self, name: str, passages: int) -> None:
        super().file(name, passages)
        self._bar.update(self._task, name=name, total=passages, completed=0, state=self.state())

    def outcome(self, outcome: Outcome) -> None:
        self._last = time.monotonic()  # the bar says it; no plain line between
        super().outcome(outcome)
        self._bar.update(self._task, completed=min(self.finished, self.total), state=self.state())

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def _say(self, text: str) -> None:
        if not self.quiet:
            self._bar.console.print(text, markup=False, highlight=False)


def progress(choice: Chosen, *, quiet: bool = False) -> Plain:
    """A bar where standard error is a terminal, plain lines elsewhere, notes only where `quiet`."""
    return Live(choice) if sys.stderr.isatty() and not quiet else Plain(choice, quiet=quiet)
