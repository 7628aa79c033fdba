"""Answers read or stored a moment ago, in memory: what a hit costs then is one look into a dict."""

from __future__ import annotations

import time
from collections.abc import Callable

from .entry import Opened

# Entries. 1,024 answers of a passage's size are some 5 MB; a run that repeats a request repeats it soon.
ENTRIES = 1024
# Code points. A larger answer would take the room of many.
LARGEST = 16_384
# Seconds between two looks whether another process or thread has changed the database: SQLite's own counter
# (`PRAGMA data_version`), which costs 1.7 us, as much as the whole hit. So long may a corrected entry be served here as
# it was before another process corrected it.
LOOK_EVERY = 0.1


class Front:
    """The last answers by key, oldest out first. A dict's operations are atomic, so threads need no lock."""

    def __init__(self, changed: Callable[[], bool], entries: int = ENTRIES) -> None:
        self._changed, self._entries = changed, entries
        self._held: dict[str, Opened] = {}
        self._looked = 0.0
        self.forgot = 0

    def get(self, key: str) -> Opened | None:
        """What is held under a key, unless the database has changed since."""
        held = self._held.get(key)
        if held is None:
            return None
        now = time.monotonic()
        if now - self._looked > LOOK_EVERY:
            if self._changed():
                self._held.clear()
                held = None
            self._looked = now
        return held

    def put(self, key: str, held: Opened, since: int) -> None:
        """Hold an answer; the one that came first makes room.

        `since` is what `forgot` was before the answer was read: where something was forgotten meanwhile, it may have
        been this.
        """
        if not self._entries or len(held.answer.text) > LARGEST or since != self.forgot:
            return
        self._held[key] = held
        while len(self._held) > self._entries:
            try:
                del self._held[next(iter(self._held))]
            except (KeyError, StopIteration, RuntimeError):  # another thread was here
                return

    def forget(self, key: str | None = None) -> None:
        """Drop one key, or all."""
        self.forgot += 1
        if key is None:
            self._held.clear()
        else:
            self._held.pop(key, None)
