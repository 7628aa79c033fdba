"""The exact tier: answers by request key, durable once stored, never a wrong or a damaged one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rewriter.errors import CacheError
from rewriter.records import Answer

from . import seal
from .entry import About, Entry, Opened, entry_of, pack, unpack
from .flight import Flights, Turnstile
from .front import ENTRIES, Front
from .keys import raw_key
from .pages import is_busy
from .tally import Tally
from .together import Sealed, Together

if TYPE_CHECKING:
    from .store import Store

ELSEWHERE = "Choose another folder with --cache DIR, or go without with --no-cache."
SECONDS_PER_DAY = 86400.0
# Seconds between two looks whether another process's call for the same key is back; a call takes seconds.
FIRST_LOOK, LAST_LOOK = 0.02, 0.25


class ExactCache:
    """Answers in a folder by the exact request; what `PassageCache` builds on and describes."""

    def __init__(self, path: Path | str, *, max_age: float | None = None, memory: int = ENTRIES) -> None:
        """Open the cache in folder `path`, made where missing. Raises CacheError with a remedy."""
        self.path = Path(path).expanduser().absolute()
        self.max_age = max_age
        self.notices: list[str] = []
        self.counts: Counter[str] = Counter()
        self.tally = Tally(self.path)
        self._front = Front(lambda: self.store.changed(), memory)  # noqa: PLW0108  the store may be replaced
        self.flights = Flights()
        self._turnstile = Turnstile(self.path)
        self._refreshed: set[str] = set()
        self._lock = threading.Lock()
        self._together = Together(self._write_together, lambda: self.store.close())  # noqa: PLW0108  as above
        self.store = self._open()
        self.store.changed()  # what other processes do is seen from here on

    # --- opening and mending ---

    def _open(self) -> Store:
        from .store import Foreign, Store

        try:
            try:
                return Store(self.path)
            except Foreign as error:
                self._set_aside(str(error))
                return Store(self.path)
        except (OSError, sqlite3.Error, Foreign) as error:
            raise CacheError(
                f"The cache cannot be opened ({error}).", where=str(self.path), remedy=ELSEWHERE
            ) from error

    def _set_aside(self, why: str) -> None:
        from .aside import set_aside

        said = set_aside(self.path, why)
        if said is not None:
            self.notices.append(said)

    def mend(self, store: Store, error: sqlite3.Error) -> bool:
        """After an error of SQLite: where the file is damaged, go on with a fresh one. Says whether it was."""
        from .store import is_damage

        if not is_damage(error):
            return False
        with self._lock:
            if self.store is store:  # else another thread was here first
                store.close()
                self._set_aside(str(error))
                self.store = self._open()
                self._front.forget()
        return True

    # --- entries ---

    def get(self, key: str) -> Answer | None:
        """The answer stored under a key, None where there is none that is sound. Never writes to the database.

        Raises CacheError for a key that is none; trouble with the database is a miss and a notice.
        """
        held, tier = self._front.get(key), "memory"
        if held is None or self._too_old(held.when):
            since = self._front.forgot
            held, tier = self._fetch(key)
            if held is None:
                self.tally.misses += 1
                self.counts["misses"] += 1
                return None
            self._front.put(key, held, since)
        self.counts["hits"] += 1
        self.tally.hit(tier, held.about, held.answer.usage)
        return held.answer

    async def aget(self, key: str) -> Answer | None:
        """As `get`; where another machine is asked, the event loop is free meanwhile."""
        return self.get(key) if self._is_near(key) else await asyncio.to_thread(self.get, key)

    async def aholds(self, key: str) -> bool:
        """As `key in cache`; where another machine is asked, the event loop is free meanwhile."""
        return key in self if self._is_near(key) else await asyncio.to_thread(self.__contains__, key)

    def _is_near(self, key: str) -> bool:
        """Whether no other machine would be asked for a key."""
        return True

    def _too_old(self, when: float) -> bool:
        return self.max_age is not None and when < time.time() - self.max_age * SECONDS_PER_DAY

    def _fetch(self, key: str) -> tuple[Opened | None, str]:
        """The entry and the tier it came from; None where there is no sound one."""
        raw = raw_key(key)
        sealed, tier = self._read(raw)
        if sealed is None:
            return None, ""
        try:
            opened = unpack(raw, sealed)
        except (seal.Damaged, seal.Newer) as error:
            self.counts["newer" if isinstance(error, seal.Newer) else "damaged"] += 1
            return None, ""
        if self._too_old(opened.when) and not self._pinned(raw):
            self.counts["expired"] += 1
            return None, ""
        return opened, tier

    def _read(self, raw: bytes) -> tuple[bytes | None, str]:
        """The sealed bytes under a key, None where there are none, and the tier they came from."""
        return self._read_here(raw), "disk"

    def _read_here(self, raw: bytes) -> bytes | None:
        store = self.store
        try:
            return store.value_of(raw)
        except sqlite3.Error as error:
            if not self.mend(store, error):
                self.notices.append(f"The cache could not be read ({error}).")
            return None

    def _published(self, entry: Sealed) -> None:
        """An entry was stored here; a cache shared with others tells them."""

    def _pinned(self, raw: bytes) -> bool:
        with contextlib.suppress(sqlite3.Error):
            return self.store.is_pinned(raw)
        return False

    def put(self, key: str, answer: Answer, *, about: About | None = None) -> None:
        """Store an answer durably, in place of what was there.

        `about` says where it came from (model, style, prompt hash); it must hold no secret. An entry of a newer version
        is left alone. Raises CacheError where the answer cannot be stored (disk full, no permission).
        """
        entry = self._sealed(key, answer, about)
        self._keep(entry)
        self._front.forget(key)
        self._published(entry)
        self._added(len(entry.value) + len(entry.key))

    async def aput(self, key: str, answer: Answer, *, about: About | None = None) -> None:
        """As `put`, without holding up the event loop; what is put at the same time shares one flush to the disk."""
        await self._together.put(self._sealed(key, answer, about))

    def _sealed(self, key: str, answer: Answer, about: About | None) -> Sealed:
        raw, when = raw_key(key), time.time()
        try:
            return Sealed(raw, seal.seal(raw, pack(answer, about or {}, when)), when)
        except (ValueError, TypeError) as error:
            raise CacheError(f"The answer cannot be stored ({error}).", remedy="Use smaller passages.") from error

    def _keep(self, entry: Sealed) -> None:
        """Write an entry here, into a fresh database where the old one is damaged. Raises CacheError."""
        store = self.store
        try:
            store.write(*entry)
        except sqlite3.Error as error:
            if not self.mend(store, error):
                raise self._unwritable(error) from error
            try:
                self.store.write(*entry)
            except sqlite3.Error as second:
                raise self._unwritable(second) from second

    def _unwritable(self, error: sqlite3.Error) -> CacheError:
        return CacheError(
            f"An answer could not be stored ({error}).",
            where=str(self.path),
            remedy=f"Make room or give write permission. {ELSEWHERE}",
        )

    def _write_together(self, entries: list[Sealed]) -> list[Exception | None]:
        """Store entries in one transaction, or, where that fails, each by itself; what went wrong with each."""
        errors: list[Exception | None] = [None] * len(entries)
        try:
            self.store.write_all(entries)
        except sqlite3.Error as error:
            if is_busy(error):  # for a minute: each by itself would wait as long again
                return [self._unwritable(error) for _ in entries]
            errors = [self._kept(entry) for entry in entries]
        for entry, wrong in zip(entries, errors, strict=True):
            if wrong is None:
                self._front.forget(entry.key.hex())
                self._published(entry)
        try:
            self._added(sum(len(e.value) + len(e.key) for e in entries))
        except CacheError as error:
            self.notices.append(str(error))
        return errors

    def _kept(self, entry: Sealed) -> Exception | None:
        try:
            self._keep(entry)
        except CacheError as error:
            return error
        return None

    def _added(self, size: int) -> None:
        """So many bytes were stored; a cache with a limit looks whether it is above it."""

    async def once(
        self, key: str, ask: Callable[[], Awaitable[Answer]], *, about: About | None = None, refresh: bool = False
    ) -> tuple[Answer, bool]:
        """The answer, and whether it cost no call of one's own: from the store, or asked and stored now.

        The same key in flight twice is asked once, in one event loop and (on Linux) among processes; who joins gets
        the same answer (True), or in the same loop the same error. Stored before it is returned; where storing fails,
        the answer is still returned, and a notice says so. `refresh` asks anew, once for each key of this object.
        """
        anew = refresh and key not in self._refreshed
        stored = None if anew else await self.aget(key)
        if stored is not None:
            return stored, True
        elsewhere = False

        async def ask_in_turn() -> Answer:
            nonlocal elsewhere
            async with self._turn(raw_key(key)) as waited:
                found = await self.aget(key) if waited and not anew else None
                if found is not None:
                    elsewhere = True
                    return found
                return await self._ask_and_store(key, ask, about)

        answer, joined = await self.flights.join(key, ask_in_turn)
        if joined:
            self.tally.hit("joined", _label(about), answer.usage)
        if anew:
            self._refreshed.add(key)
        return answer, joined or elsewhere

    @contextlib.asynccontextmanager
    async def _turn(self, raw: bytes) -> AsyncIterator[bool]:
        """This process's turn to ask for a key; whether another one's call had to be waited for."""
        pause, waited = FIRST_LOOK, False
        while not self._turnstile.take(raw):
            waited = True
            await asyncio.sleep(pause)
            pause = min(LAST_LOOK, pause * 1.5)
        try:
            # a call that ended between our look and our turn has its answer there already; a look costs 5 us
            yield waited or self._read_here(raw) is not None
        finally:
            self._turnstile.give_back(raw)

    async def _ask_and_store(self, key: str, ask: Callable[[], Awaitable[Answer]], about: About | None) -> Answer:
        answer = await ask()
        try:
            await self.aput(key, answer, about=about)
        except CacheError as error:
            self.notices.append(str(error))
        return answer

    def delete(self, key: str) -> bool:
        """Remove an entry; says whether there was one. Raises CacheError where it cannot be removed."""
        raw = raw_key(key)
        try:
            with self.working():
                return self.store.remove(raw)
        finally:
            self._front.forget(key)

    def correct(self, key: str, text: str) -> bool:
        """See PassageCache.correct."""
        entry = self.entry(key)
        if entry is None:
            return False
        answer = entry.answer.model_copy(update={"text": text, "finish": "stop"})
        self.put(key, answer, about={**entry.about, "corrected": True})
        return self.pin(key)

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keep an entry from every prune, clear and age limit, or no longer; says whether there is such an entry."""
        raw = raw_key(key)
        with self.working():
            return self.store.pin(raw, pinned)

    def entry(self, key: str) -> Entry | None:
        """A stored answer with its provenance: model, style, prompt, usage, when. Counts as neither hit nor miss."""
        raw = raw_key(key)
        try:
            sealed, _ = self._read(raw)
            return entry_of(raw, sealed, pinned=self._pinned(raw)) if sealed is not None else None
        except (sqlite3.Error, seal.Damaged, seal.Newer):
            return None

    def entries(self) -> Iterator[Entry]:
        """Every sound entry, in the order of arrival. Raises CacheError where the database cannot be read."""
        with self.working():
            for row in self.store.rows():
                if row.regular:
                    with contextlib.suppress(seal.Damaged, seal.Newer):
                        yield entry_of(row.key, row.value, pinned=row.pinned)  # type: ignore[arg-type]  # regular

    def __contains__(self, key: str) -> bool:
        """Whether `get` would find an answer under the key; counts as neither hit nor miss."""
        entry = self.entry(key)
        return entry is not None and (entry.pinned or not self._too_old(entry.when))

    def __bool__(self) -> bool:
        """A cache, even an empty one."""
        return True

    def __len__(self) -> int:
        """Entries, damaged ones and those of newer versions included."""
        with self.working():
            return self.store.entries()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """SQLite's errors become CacheError."""
        try:
            yield
        except sqlite3.Error as error:
            raise CacheError(
                f"The cache could not be read or changed ({error}).",
                where=str(self.path),
                remedy="`rewriter cache verify` finds damage.",
            ) from error

    def close(self) -> None:
        """Wait for what is being stored, write the tally, and close this thread's connection.

        Those of other threads close when they end.
        """
        self._together.close()
        self.tally.flush()
        self._turnstile.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _label(about: About | None) -> bytes:
    return json.dumps(dict(about or {})).encode()
