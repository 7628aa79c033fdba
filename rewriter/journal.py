"""A run's append-only record, `run.jsonl`, and what a later run reads from it.

One JSON object a line, each with an `event`: `start` (settings of the run), `begin` (a file is begun), `resumed` (one
was finished before), `paid` (for a call or a batch), `passage` (its outcomes are known), `outcome` (one of a finished
file), `file` (finished: its input, output and account) and `end`. A
process killed in the middle of a line leaves a torn last line: readers pass it over, and the next run begins on a line
of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from rewriter.errors import OutputError, UsageError

JOURNAL = "run.jsonl"
BATCHES = "batches.jsonl"  # what was given to a provider's batch interface

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's events in order; lines that are torn or damaged are passed over. No file: no events."""
    for _, line in read_lines(path):
        event = parse(line)
        if event is not None:
            yield event


def parse(line: bytes) -> dict[str, Any] | None:
    """The event on a line, or None where it is torn or damaged."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def read_lines(path: Path, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Lines that begin at a byte in [first, last), each with that byte. No file: no lines. Raises OutputError."""
    try:
        with path.open("rb") as file:
            file.seek(first)
            place = first
            for line in file:
                if last is not None and place >= last:
                    return
                yield place, line
                place += len(line)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(
            f"the journal cannot be read: {error.strerror}.",
            where=str(path),
            remedy="Name another folder (rewrite: -o).",
        ) from None


def is_open(folder: Path) -> bool:
    """Whether a run is writing the journal of a folder at this moment (where the system can tell)."""
    try:
        import fcntl

        with (folder / JOURNAL).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False


class Journal:
    """Appends events to OUT/run.jsonl, each on disk's side of the process before `add` returns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
            self._lock()
            if self._file.tell() and not self._ends_whole():
                self._file.write(b"\n")
        except OSError as error:
            raise OutputError(
                f"the journal cannot be written: {error.strerror}.",
                where=str(self.path),
                remedy="Choose a folder you may write to with -o.",
            ) from None
        return self

    def _lock(self) -> None:
        """Two runs into one folder would write each other's files; the lock goes with the process, however it ends."""
        try:
            import fcntl
        except ImportError:  # Windows refuses to open the file twice for writing by itself
            return
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError(
                "another run is writing into this folder.",
                where=str(self.path.parent),
                remedy="Wait for it, stop it, or choose another folder with -o.",
            ) from None

    def _ends_whole(self) -> bool:
        assert self._file is not None
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"

    def add(self, event: str, **values: Any) -> None:
        """Append one event. A kill right after this call does not lose it. Raises OutputError on a full disk."""
        assert self._file is not None, "the journal is not open"
        line = _ENCODE({"event": event, **values})
        try:
            self._file.write(line.encode("utf-8", "surrogatepass") + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritten(error) from None

    def sync(self) -> None:
        """Ask the system to bring the journal to the disk: after a file, not after each passage. Raises OutputError."""
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> OutputError:
        return OutputError(
            f"the journal cannot be written: {error.strerror}.",
            where=str(self.path),
            remedy="Free space, then run the same command again: it continues.",
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):  # a line that could not be written, which `add` has told, is tried once more
                self._file.close()
            self._file = None
