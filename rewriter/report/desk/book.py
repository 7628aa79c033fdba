"""The runs on the desk: every passage under a lasting name, with what was decided about it; read again on change.

Nothing here knows of web pages or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from types import TracebackType

from rewriter.journal import JOURNAL
from rewriter.records import Outcome
from rewriter.report.desk.decisions import Decision, Kind, Review, State, digest, passage_ids
from rewriter.report.runs import FileView, PassageView, RunView, read_run

# Seconds between two readings of a journal that is being written.
PATIENCE = 5.0


@dataclass(frozen=True)
class Entry:
    """A passage on the desk. `key` is its name on this desk (run number and passage name); `at` its place among all.

    `heard` is what the recogniser wrote.
    """

    key: str
    name: str
    run: int
    at: int
    file: FileView
    view: PassageView
    heard: str

    @property
    def outcome(self) -> Outcome:
        """What the run made of it."""
        return self.view.outcome

    @cached_property
    def seen(self) -> str:
        """The run's result, as decisions remember it."""
        return digest(self.outcome.text)


def as_heard(view: PassageView) -> str:
    """A passage's source with its fixes taken back."""
    parts, at = [], 0
    for placed in view.fixes:
        parts += [view.outcome.source[at : placed.start], placed.fix.before]
        at = max(at, placed.end)
    return "".join([*parts, view.outcome.source[at:]])


class Book:
    """Runs under review, each with its decisions. A context manager: it holds the decisions' files open for writing.

    With `writing` false they are only read, so that a desk may have the runs open at the same time. Raises what
    `read_run` and `Review` raise.
    """

    def __init__(self, folders: Sequence[Path], *, writing: bool = True) -> None:
        self.writing = writing
        self.folders = [folder.absolute() for folder in folders]
        self.reviews: list[Review] = []
        self.runs: list[RunView] = []
        self.entries: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        self._stamps: list[tuple[int, int]] = []
        self._read = 0.0
        self._stack = ExitStack()

    def __enter__(self) -> Book:
        with ExitStack() as stack:
            runs = [read_run(folder) for folder in self.folders]
            reviews = [Review(folder) for folder in self.folders]
            self.reviews = [stack.enter_context(r) if self.writing else r.read() for r in reviews]
            self._stack = stack.pop_all()
        self._stamps, self._read = [self._stamp(folder) for folder in self.folders], monotonic()
        self._take(runs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- reading ---

    @staticmethod
    def _stamp(folder: Path) -> tuple[int, int]:
        stat = (folder / JOURNAL).stat()
        return stat.st_mtime_ns, stat.st_size

    def refresh(self) -> None:
        """Read the runs again whose journals have changed: the same command may have been run again meanwhile.

        The journal of a run that goes on changes all the time; it is read again now and then only.
        """
        stamps = [self._stamp(folder) for folder in self.folders]
        going_on = any(run.going_on for run in self.runs)
        if stamps != self._stamps and (not going_on or monotonic() - self._read > PATIENCE):
            pairs = zip(stamps, self._stamps, self.folders, self.runs, strict=True)
            self._take([run if now == before else read_run(folder) for now, before, folder, run in pairs])
            self._stamps, self._read = stamps, monotonic()

    def _take(self, runs: list[RunView]) -> None:
        self.runs = runs
        entries = (entry for number, run in enumerate(runs) for entry in _entries(number, run))
        self.entries = [replace(entry, at=at) for at, entry in enumerate(entries)]
        self._by_key = {entry.key: entry for entry in self.entries}

    # --- asking ---

    def get(self, key: str) -> Entry | None:
        """The passage of that name."""
        return self._by_key.get(key)

    def state(self, entry: Entry) -> State:
        """What was decided about a passage."""
        return self.reviews[entry.run].state(entry.name)

    def standing(self, entry: Entry) -> str:
        """The text that stands for a passage now: a person's choice, a new answer, or the run's result."""
        decision = self.state(entry).standing
        return decision.text if decision else entry.outcome.text

    def renewed(self, entry: Entry) -> bool:
        """Whether a later run came to another result than the one that was decided about."""
        decision = self.state(entry).standing
        return decision is not None and decision.seen not in {"", entry.seen}

    def doubtful(self, entry: Entry) -> bool:
        """Whether a person should look: nothing of the model's stands, the guard saw something, or there is news."""
        outcome = entry.outcome
        if self.state(entry).decisions:
            return True
        return outcome.status == "kept" or bool(outcome.findings)

    def before(self, entry: Entry) -> Entry | None:
        """The passage before, in the same file."""
        return self._beside(entry, -1)

    def after(self, entry: Entry) -> Entry | None:
        """The passage behind, in the same file."""
        return self._beside(entry, 1)

    def _beside(self, entry: Entry, step: int) -> Entry | None:
        at = entry.at + step
        if not 0 <= at < len(self.entries):
            return None
        other = self.entries[at]
        return other if (other.run, other.file.name) == (entry.run, entry.file.name) else None

    def orphans(self) -> Iterator[tuple[int, State]]:
        """Decisions, by run, whose passage the run no longer has: it was cut in another way, or its text changed."""
        known = {(entry.run, entry.name) for entry in self.entries}
        for number, review in enumerate(self.reviews):
            for name, state in review.states.items():
                if state.decisions and (number, name) not in known:
                    yield number, state

    # --- deciding ---

    def decide(
        self, entry: Entry, kind: Kind, text: str = "", *, accepted: bool = True, instruction: str = ""
    ) -> State:
        """Keep a decision; it is on the disk when this returns. Raises OutputError where that fails."""
        decision = Decision(
            passage=entry.name,
            kind=kind,
            file=entry.file.name,
            text=text,
            source=entry.heard,
            accepted=accepted,
            seen=entry.seen,
            instruction=instruction,
        )
        return self.reviews[entry.run].add(decision)


def _entries(number: int, run: RunView) -> Iterator[Entry]:
    places = [(file, view, as_heard(view)) for file, view in run.passages]
    names = passage_ids((file.name, heard) for file, _, heard in places)
    for (file, view, heard), name in zip(places, names, strict=True):
        yield Entry(f"{number}-{name}", name, number, 0, file, view, heard)
