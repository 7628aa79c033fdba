"""What a person decided about passages: an append-only file in the run's folder, and the state that it replays to.

One JSON object a line, on the disk before the answer to the browser is given, so that killing the desk loses nothing.
A passage is known by its file, its source text and how often that text stood before it: the same passage is found again
after a re-run, wherever it stands then. Undoing is a line too; nothing is ever taken out of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import ValidationError

from rewriter.errors import OutputError, UsageError
from rewriter.records import Record

REVIEW = "review.jsonl"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)

# accept: the run's result stands. restore: the source with its fixes. draft: a draft the guard had rejected.
# edit: a text written by hand. asked: a new answer of the model, to be looked at. done: what stands now is right.
# undo: the last of these that is not undone yet counts no longer.
Kind = Literal["accept", "restore", "draft", "edit", "asked", "done", "undo"]


class Decision(Record):
    """One line of the file.

    `text` is what stands from now on; for `asked` the model's answer, which stands only if the guard `accepted` it.
    `source` (as it was heard) is there for a person, and for passages that a later run cuts differently. `seen` is
    `digest` of the run's result at that time. `instruction` is what the model was told, or the term it was shown.
    """

    passage: str
    kind: Kind
    file: str
    at: str = ""
    text: str = ""
    source: str = ""
    accepted: bool = True
    seen: str = ""
    instruction: str = ""


class State(Record):
    """What counts for a passage: its decisions that are not undone, in order."""

    decisions: tuple[Decision, ...] = ()

    @property
    def last(self) -> Decision | None:
        """The decision that was made last."""
        return self.decisions[-1] if self.decisions else None

    @property
    def standing(self) -> Decision | None:
        """The decision whose text stands; None where the run's result does."""
        return next((d for d in reversed(self.decisions) if d.kind != "asked" or d.accepted), None)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to look at: a person said the last word."""
        return self.last is not None and self.last.kind != "asked"

    @property
    def offered(self) -> Decision | None:
        """The last answer that was asked for, if the guard rejected it and nothing was decided since."""
        return self.last if self.last is not None and self.last.kind == "asked" and not self.last.accepted else None

    def after(self, decision: Decision) -> State:
        """The state one line later."""
        kept = self.decisions[:-1] if decision.kind == "undo" else (*self.decisions, decision)
        return State.model_construct(decisions=kept)


NOTHING = State()


def passage_ids(places: Iterable[tuple[str, str]]) -> list[str]:
    """A name for each passage, given as (file, source text) in the order of the transcript: 20 hex digits."""
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for place in places:
        names.append(digest(json.dumps([*place, seen[place]]))[:20])
        seen[place] += 1
    return names


def digest(text: str) -> str:
    """SHA-256 of a text, 20 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def read_decisions(path: Path) -> Iterator[Decision]:
    """The decisions in order; lines that are torn, damaged or of a kind not known here are passed over."""
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield Decision.model_validate(json.loads(line))
                except (ValueError, ValidationError):
                    continue
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"the review cannot be read: {error.strerror}.", where=str(path), remedy="Check its permissions."
        ) from None


def replay(decisions: Iterable[Decision]) -> dict[str, State]:
    """The state of every passage that something was decided about, by its name."""
    states: dict[str, State] = {}
    for decision in decisions:
        states[decision.passage] = states.get(decision.passage, NOTHING).after(decision)
    return states


class Review:
    """The decisions about one run, held open for writing by one desk at a time.

    Raises UsageError where another desk has the run open, OutputError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / REVIEW
        self.states: dict[str, State] = {}
        self._handle = -1

    def __enter__(self) -> Review:
        try:
            self._handle = os.open(self.path, _FLAGS, 0o666)
            self._lock()
            self._end_line()
        except OSError as error:
            self.close()
            raise OutputError(
                f"the review cannot be written: {error.strerror}.",
                where=str(self.path),
                remedy="Check the permissions of the run's folder.",
            ) from None
        self.states = replay(read_decisions(self.path))
        return self

    def read(self) -> Review:
        """The decisions as they are now, without holding the file: nothing can be added."""
        self.states = replay(read_decisions(self.path))
        return self

    def _lock(self) -> None:
        """Two desks would overlook each other's decisions; the lock goes with the process, however it ends."""
        try:
            import fcntl
        except ImportError:  # no such lock on Windows
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UsageError(
                "another review desk has this run open.",
                where=str(self.path.parent),
                remedy="Use that one, or stop it first.",
            ) from None

    def _end_line(self) -> None:
        """A process killed while it wrote leaves half a line: the next decision begins on a line of its own."""
        size = os.fstat(self._handle).st_size
        if size:
            os.lseek(self._handle, size - 1, os.SEEK_SET)
            if os.read(self._handle, 1) != b"\n":
                os.write(self._handle, b"\n")

    def state(self, passage: str) -> State:
        """What counts for a passage."""
        return self.states.get(passage, NOTHING)

    def add(self, decision: Decision) -> State:
        """Write one decision to the disk, then count it. Raises OutputError, with nothing decided, where that fails."""
        decision = decision.model_copy(update={"at": decision.at or datetime.now(UTC).isoformat(timespec="seconds")})
        line = json.dumps(decision.model_dump(exclude_defaults=True), ensure_ascii=False, separators=(",", ":"))
        size = os.fstat(self._handle).st_size
        try:
            self._write(line.encode("utf-8", "surrogatepass") + b"\n")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, size)  # or half a line, or one nobody was told of, would count later
            raise OutputError(
                f"the decision could not be kept: {error.strerror}.",
                where=str(self.path),
                remedy="Free space, then decide again.",
            ) from None
        state = self.states[decision.passage] = self.state(decision.passage).after(decision)
        return state

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._handle, data) :]

    def close(self) -> None:
        """Let another desk have the run."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
