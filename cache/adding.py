"""Rows on their way into an index of meanings: they wait, and a thread of its own writes them in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

BATCH = 16  # passages embedded and written at a time
MOST = 10_000  # that wait: 3 KB each. What comes beyond, while a server is away, is left out.
TRIES = (
    3  # of a batch, each after a pause: a server may be away for a minute, and a batch that it refuses must not stay
)


class Row(NamedTuple):
    """A passage as it is added: its row's number, scope (64 hex digits), text, when it was stored, sealed bytes."""

    place: int
    scope: str
    source: str
    when: float
    sealed: bytes


class Adding:
    """Rows that wait, by place: a later one takes an earlier one's turn. A kill loses them.

    `write(rows)` writes a batch, says whether that went well and does not raise; `paused()` says for how many seconds
    from now it would be in vain.
    """

    def __init__(self, write: Callable[[list[Row]], bool], paused: Callable[[], float]) -> None:
        self._write, self._paused = write, paused
        self._turn = threading.Condition()
        self._waiting: dict[int, Row] = {}
        self._thread: threading.Thread | None = None
        self._ending = self._patient = False
        self._left_out = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Have rows written; does not wait for it, or for room only (see `in_full`)."""
        for row in rows:
            with self._turn:
                while self._patient and len(self._waiting) >= MOST and not self._paused():
                    self._turn.wait(1.0)
                if len(self._waiting) >= MOST:
                    self._left_out += 1
                    continue
                self._waiting[row.place] = row
                self._ending = False
                if self._thread is None:
                    # a daemon: who ends it waits for it, and says so where it must not wait longer
                    self._thread = threading.Thread(target=self._run, name="rewriter-vectors", daemon=True)
                    self._thread.start()
                self._turn.notify_all()

    def _run(self) -> None:
        tries = 0
        while rows := self._next():
            tries = 0 if self._write(rows) else tries + 1
            if 0 < tries < TRIES:
                continue
            with self._turn:
                self._left_out += len(rows) if tries else 0
                for row in filter(self.still, rows):
                    del self._waiting[row.place]
                self._turn.notify_all()
            tries = 0

    def _next(self) -> list[Row]:
        """The rows whose turn it is, as soon as there are any; none where no more will come, or be written."""
        with self._turn:
            while not self._ending and (not self._waiting or self._paused()):
                self._turn.wait(self._paused() or None)
            return [] if self._paused() else list(islice(self._waiting.values(), BATCH))

    def still(self, row: Row) -> bool:
        """Whether a row is still to be written: not withdrawn, nor replaced."""
        return self._waiting.get(row.place) is row

    def withdraw(self, places: Iterable[int] | None = None) -> None:
        """Have rows not written, all of them by default."""
        with self._turn:
            for place in list(self._waiting) if places is None else places:
                self._waiting.pop(place, None)

    @contextmanager
    def in_full(self) -> Iterator[None]:
        """Within, rows wait for room; at the end, until all are written or it is in vain."""
        self._patient = True
        try:
            yield
            with self._turn:
                while self._waiting and not self._paused():
                    self._turn.wait(1.0)
        finally:
            self._patient = False

    def end(self, seconds: float) -> int:
        """End the thread when all is written, or so many seconds have passed; how many rows were not."""
        with self._turn:
            self._ending, thread, self._thread = True, self._thread, None
            self._turn.notify_all()
        if thread is not None:
            thread.join(seconds)
        with self._turn:
            left, self._left_out = len(self._waiting) + self._left_out, 0
            self._waiting.clear()
        return left
