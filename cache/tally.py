"""What the cache saved: hits, misses and tokens by model and style, over all runs.

A hit must write nothing to the database, so a process counts in memory and appends one line to `tally.jsonl` when the
cache is closed. A process that is killed loses its counts, and nothing else. Lines beyond some number are added up
into one.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rewriter.records import Record, Usage

from .entry import label_of

FILE = "tally.jsonl"
# Lines; a line is about 150 bytes, so the file stays below some 75 KB.
ADD_UP_ABOVE = 500

Label = tuple[str, str, str]  # tier, model, style


class Saved(Record):
    """Hits of one tier (memory, disk, shared, joined, replay) with one model and style; the tokens they saved."""

    tier: str
    model: str
    style: str
    hits: int
    input: int
    cached: int
    output: int

    @property
    def usage(self) -> Usage:
        """The tokens, as a usage that prices can be put on."""
        return Usage(input=self.input, cached=self.cached, output=self.output)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """A file of the owner's only, open for reading and appending, locked against other processes (not on Windows)."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+", encoding="utf-8") as file:
        with contextlib.suppress(ImportError):  # Windows
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


class Tally:
    """Counts of this process, and those of earlier ones in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.misses = 0
        self._counts: dict[tuple[str, bytes], list[int]] = {}
        self._lock = threading.Lock()

    def hit(self, tier: str, about: bytes, usage: Usage) -> None:
        """One answer that cost no call, with what it cost when it was asked. `about` is as it stands in the entry."""
        with self._lock:
            counts = self._counts.get((tier, about))
            if counts is None:
                counts = self._counts[tier, about] = [0, 0, 0, 0]
            counts[0] += 1
            counts[1] += usage.input
            counts[2] += usage.cached
            counts[3] += usage.output

    def own(self) -> dict[Label, list[int]]:
        """This process's counts that are not in the file yet: hits, input, cached and output tokens by label."""
        with self._lock:
            return self._by_label()

    def _by_label(self) -> dict[Label, list[int]]:
        found: dict[Label, list[int]] = {}
        for (tier, about), counts in self._counts.items():
            _sum(found, (tier, *label_of(about)), counts)
        return found

    def saved(self) -> tuple[list[Saved], int]:
        """Everything saved, earlier processes included, and all misses."""
        counts, misses = self.own(), self.misses
        with contextlib.suppress(OSError), self.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                misses += _add(counts, line)
        return [_record(label, counts[label]) for label in sorted(counts)], misses

    def flush(self) -> None:
        """Append this process's counts to the file. A file that cannot be written loses the counts only."""
        if not self._counts and not self.misses:
            return
        with contextlib.suppress(OSError), locked(self.path) as file:
            with self._lock:
                file.write(_line(self._by_label(), self.misses))
                self._counts, self.misses = {}, 0
            file.seek(0)
            lines = file.readlines()
            if len(lines) > ADD_UP_ABOVE:
                self._add_up(file, lines)

    @staticmethod
    def _add_up(file: IO[str], lines: list[str]) -> None:
        counts: dict[Label, list[int]] = {}
        misses = sum(_add(counts, line) for line in lines)
        file.seek(0)
        file.truncate()
        file.write(_line(counts, misses))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts, self.misses = {}, 0
        self.path.unlink(missing_ok=True)


def _line(counts: dict[Label, list[int]], misses: int) -> str:
    rows = [[*label, *values] for label, values in counts.items()]
    return json.dumps({"misses": misses, "hits": rows}, ensure_ascii=True, separators=(",", ":")) + "\n"


def _add(counts: dict[Label, list[int]], line: str) -> int:
    """Add a line's counts; its misses. A torn or foreign line counts nothing."""
    try:
        said = json.loads(line)
        rows = [((str(t), str(m), str(s)), [int(v) for v in values]) for t, m, s, *values in said["hits"]]
        misses = int(said["misses"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    for label, values in rows:
        if len(values) == 4:
            _sum(counts, label, values)
    return misses


def _sum(counts: dict[Label, list[int]], label: Label, values: list[int]) -> None:
    counts[label] = [a + b for a, b in zip(counts.get(label, [0] * 4), values, strict=True)]


def _record(label: Label, counts: list[int]) -> Saved:
    return Saved(
        tier=label[0],
        model=label[1],
        style=label[2],
        hits=counts[0],
        input=counts[1],
        cached=counts[2],
        output=counts[3],
    )
