"""How a run shows itself while it goes: a bar on a terminal, plain lines elsewhere. Both write to standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rewriter import logs
from rewriter.money import Chosen
from rewriter.records import Outcome
from rewriter.report.visible import on_one_line
from rewriter.summary import Price, Spent, added, total

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

T = TypeVar("T")

# Seconds between two plain progress lines: a log of an hour's run stays under 400 lines.
PLAIN_EVERY = 10.0


class Plain:
    """A line when a file begins and ends, and one every ten seconds in between."""

    def __init__(self, choice: Chosen, *, quiet: bool = False) -> None:
        self.choice, self.quiet = choice, quiet
        self.files = self.files_done = self.size = 0
        self.known = self.known_size = self.finished = self.kept = 0
        self.spent: Spent = {}
        self._began = self._last = time.monotonic()
        self._price = Price(choice)

    def __enter__(self) -> Plain:
        self._troubles = _Troubles(self)
        logs.logger.addHandler(self._troubles)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logs.logger.removeHandler(self._troubles)

    def begin(self, files: int, size: int) -> None:
        self.files, self.size = files, size
        self._began = self._last = time.monotonic()

    def file(self, name: str, passages: int, size: int) -> None:
        self.known += passages
        self.known_size += size
        self._say(on_one_line(f"{name}: {passages} passages"))

    def outcome(self, outcome: Outcome) -> None:
        self.finished += 1
        self.kept += outcome.status == "kept"
        self.spent = added([self.spent, outcome.spent])
        if time.monotonic() - self._last >= PLAIN_EVERY:
            self._last = time.monotonic()
            self._say(self.state())

    @property
    def passages(self) -> int:
        """Passages in all: of the files begun, and by size of those to come."""
        return round(self.known * max(1.0, self.size / self.known_size)) if self.known_size else self.known

    def state(self) -> str:
        """Files, passages, rate, tokens, cost, kept and the time left, in one line."""
        money = self._price(self.spent)
        price = "cost unknown" if money is None else f"${money:.4f}"
        usage, spent = total(self.spent), time.monotonic() - self._began
        done = min(self.finished, self.passages)
        rate = done / max(spent, 0.001)
        left = (self.passages - done) / rate if rate else 0.0
        files = f"{self.files_done}/{self.files} files, " if self.files > 1 else ""
        about = "about " if self.known_size < self.size else ""
        return (
            f"{files}{done}/{about}{self.passages} passages, {rate:.1f} a second, {usage.input + usage.output} tokens, "
            f"{price}, {self.kept} kept, about {_lasting(left)} left"
        )

    def done(self, report: dict[str, Any], size: int) -> None:
        self.files_done += 1
        if report.get("resumed"):
            self.size -= size  # it took no time and says nothing of what is to come
        counts = ", ".join(f"{n} {status}" for status, n in report["passages"].items() if n)
        again = " (finished by an earlier run)" if report.get("resumed") else ""
        self._say(on_one_line(f"{report['file']}: {counts or 'nothing to rewrite'}{again}"))

    def note(self, text: str) -> None:
        print(on_one_line(text), file=sys.stderr, flush=True)

    def trouble(self, cause: str) -> None:
        """The first call that failed so and is made again."""
        self._say(on_one_line(f"A call failed: {cause}. It is tried again, as others are that fail so."))

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


def _lasting(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class _Troubles(logging.Handler):
    """Tells the first try of each sort that failed: without a word, a run that waits for an endpoint seems to hang."""

    def __init__(self, shown: Plain) -> None:
        super().__init__(logging.WARNING)
        self._shown, self._told = shown, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        facts = getattr(record, "facts", {})
        if record.getMessage() == "retry" and facts["sort"] not in self._told:
            self._told.add(facts["sort"])
            self._shown.trouble(facts["cause"].rstrip("."))


class Live(Plain):
    """A bar that moves, by rich."""

    _bar: Bar
    _task: TaskID

    def __enter__(self) -> Live:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", state="", total=None)
        self._bar.start()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._bar.stop()

    def outcome(self, outcome: Outcome) -> None:
        self._last = time.monotonic()  # the bar says it; no plain line between
        super().outcome(outcome)
        self._bar.update(
            self._task, completed=min(self.finished, self.passages), total=self.passages, state=self.state()
        )

    def note(self, text: str) -> None:
        self._bar.console.print(on_one_line(text), markup=False, highlight=False)

    def _say(self, text: str) -> None:
        if not self.quiet:
            self._bar.console.print(text, markup=False, highlight=False)


def counted(sources: Sequence[T]) -> Iterator[T]:
    """The same, with a line every ten seconds that says how many have been taken."""
    last = time.monotonic()
    for number, source in enumerate(sources):
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            print(f"{number}/{len(sources)} files", file=sys.stderr, flush=True)
        yield source


def progress(choice: Chosen, *, quiet: bool = False) -> Plain:
    """A bar where standard error is a terminal, plain lines elsewhere, notes only where `quiet`."""
    return Live(choice) if sys.stderr.isatty() and not quiet else Plain(choice, quiet=quiet)
