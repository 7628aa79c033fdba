"""The passage cache: answers by request key, durable once stored, never a wrong or a damaged one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rewriter.errors import CacheError
from rewriter.records import Answer, Usage

from . import moving, seal, upkeep
from .entry import About, Entry, Opened, entry_of, label_of, pack, unpack
from .flight import Flights, Turnstile
from .front import ENTRIES, Front
from .tally import Tally
from .upkeep import CacheStats, VerifyReport

if TYPE_CHECKING:
    from .similar import Judge, Replay, Similar
    from .store import Row, Store

FOLDER_VARIABLE = "REWRITER_CACHE"
SIZE_VARIABLE = "REWRITER_CACHE_SIZE"
AGE_VARIABLE = "REWRITER_CACHE_DAYS"
SHARED_VARIABLE = "REWRITER_CACHE_URL"
ELSEWHERE = "Choose another folder with --cache DIR, or go without with --no-cache."
SECONDS_PER_DAY = 86400.0
# With a size limit, a prune goes below it by this part, so that not every put prunes again.
PRUNE_SLACK = 0.1
# Seconds between two looks whether another process's call for the same key is back; a call takes seconds.
FIRST_LOOK, LAST_LOOK = 0.02, 0.25


def default_folder() -> Path:
    """REWRITER_CACHE, or the user's cache folder by the system's custom."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("transcript-rewriter")) / "answers"


def open_cache(path: Path | str | None = None, *, shared: str | None = None) -> PassageCache:
    """The cache in a folder, by default the user's own, with the limits REWRITER_CACHE_SIZE (bytes) and
    REWRITER_CACHE_DAYS where they are set.

    `shared`, or REWRITER_CACHE_URL, is the address of a Redis or Valkey server behind it. Raises CacheError where it
    cannot be opened or a limit is no number.
    """
    size, days = _limit(SIZE_VARIABLE), _limit(AGE_VARIABLE)
    folder = path if path is not None else default_folder()
    limit = int(size) if size is not None else None
    url = shared or os.environ.get(SHARED_VARIABLE)
    if url:
        from .shared import SharedCache

        return SharedCache(folder, url, size_limit=limit, max_age=days)
    return PassageCache(folder, size_limit=limit, max_age=days)


def _limit(variable: str) -> float | None:
    said = os.environ.get(variable)
    if not said:
        return None
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise CacheError(f"{variable} is {said[:40]!r}.", remedy="Give a number above 0, or unset it.")
    return value


def raw_key(key: str) -> bytes:
    """The 32 bytes of a key. Raises CacheError for what is none."""
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != seal.KEY_BYTES:
        raise CacheError("A cache key is 64 hex digits.", where=repr(key)[:80], remedy="Make it with request_key.")
    return raw


def stamp() -> str:
    """The time, as part of a file name."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


class PassageCache:
    """Answers in a folder, usable from several threads and processes at once.

    `put` returns when the answer is on disk; a kill after that loses nothing. `get` writes nothing, and gives back an
    answer only where its seal, key and shape are right; all else is a miss, counted in `stats()`. Nothing is removed
    unless `size_limit` (bytes of entries) asks for it: then the oldest go first, pinned ones never. With `max_age`
    (days) an older entry that is not pinned is a miss; it is removed only by `prune`. `memory` is how many answers are
    also held in memory. Calls block for the time of one SQLite statement: some microseconds for a hit, one fsync for a
    put. `notices` collects what a user should hear.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size_limit: int | None = None,
        max_age: float | None = None,
        memory: int = ENTRIES,
    ) -> None:
        """Open the cache in folder `path`, made where missing. Raises CacheError with a remedy."""
        self.path = Path(path).expanduser().absolute()
        self.size_limit, self.max_age = size_limit, max_age
        self.notices: list[str] = []
        self.counts: Counter[str] = Counter()
        self.tally = Tally(self.path)
        self._front = Front(lambda: self.store.changed(), memory)  # noqa: PLW0108  the store may be replaced
        self.flights = Flights()
        self._turnstile = Turnstile(self.path)
        self._refreshed: set[str] = set()
        self._lock = threading.Lock()
        self._written: int | None = None
        self._similar: Similar | None = None
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

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time sets a database aside; on Windows an open file cannot be renamed anyway."""
        if sys.platform == "win32":
            yield
            return
        import fcntl

        handle = os.open(self.path / "set-aside.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _set_aside(self, why: str) -> None:
        """Rename the database and its side files, unless another process has done so already; keep what is readable."""
        from .store import DATABASE, sound

        with self._alone():
            if sound(self.path / DATABASE):
                return
            aside = f"damaged-{stamp()}.db"
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    (self.path / (DATABASE + suffix)).rename(self.path / (aside + suffix))
        saved = self._salvage(self.path / aside)
        self.notices.append(
            f"The cache's database was damaged or not one of ours ({why}); it was set aside as {self.path / aside},"
            f" {saved} answers that could be read were taken over, and the cache goes on."
        )

    def _salvage(self, aside: Path) -> int:
        """Sound entries of a database set aside, put into a fresh one; how many."""
        from .store import Store, readable_rows

        store = Store(self.path)
        try:
            return sum(self._take(store, row) for row in readable_rows(aside))
        finally:
            store.close()

    @staticmethod
    def _take(store: Store, row: Row) -> bool:
        if not row.regular:
            return False
        assert isinstance(row.key, bytes) and isinstance(row.value, bytes)
        try:
            when = entry_of(row.key, row.value).when
        except (seal.Damaged, seal.Newer):
            return False
        return store.write_if_absent(row.key, row.value, when, pinned=row.pinned)

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
        self.tally.hit(tier, label_of(held.about), held.answer.usage)
        return held.answer

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
        store = self.store
        try:
            return store.value_of(raw), "disk"
        except sqlite3.Error as error:
            if not self.mend(store, error):
                self.notices.append(f"The cache could not be read ({error}).")
            return None, ""

    def _published(self, raw: bytes, sealed: bytes) -> None:
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
        raw = raw_key(key)
        when = time.time()
        try:
            sealed = seal.seal(raw, pack(answer, about or {}, when))
        except (ValueError, TypeError) as error:
            raise CacheError(f"The answer cannot be stored ({error}).", remedy="Use smaller passages.") from error
        self._write(raw, sealed, when)
        self._front.forget(key)
        self._published(raw, sealed)
        self._keep_small(len(sealed) + len(raw))

    def _write(self, raw: bytes, sealed: bytes, when: float) -> None:
        store = self.store
        try:
            store.write(raw, sealed, when)
        except sqlite3.Error as error:
            if not self.mend(store, error):
                raise self._unwritable(error) from error
            try:
                self.store.write(raw, sealed, when)
            except sqlite3.Error as second:
                raise self._unwritable(second) from second

    def _unwritable(self, error: sqlite3.Error) -> CacheError:
        return CacheError(
            f"An answer could not be stored ({error}).",
            where=str(self.path),
            remedy=f"Make room or give write permission. {ELSEWHERE}",
        )

    def _keep_small(self, added: int) -> None:
        """With a size limit: count what is written, and prune when the sum goes above it."""
        if self.size_limit is None:
            return
        if self._written is None:
            self._written = sum(size for _, _, size, _ in self.store.sizes())
        else:
            self._written += added
        if self._written > self.size_limit:
            self.prune(max_bytes=int(self.size_limit * (1 - PRUNE_SLACK)))
            self._written = None

    async def once(
        self, key: str, ask: Callable[[], Awaitable[Answer]], *, about: About | None = None, refresh: bool = False
    ) -> tuple[Answer, bool]:
        """The answer, and whether it cost no call of one's own: from the store, or asked and stored now.

        The same key in flight twice is asked once, in one event loop and (on Linux) among processes; who joins gets
        the same answer (True), or in the same loop the same error. Stored before it is returned; where storing fails,
        the answer is still returned, and a notice says so. `refresh` asks anew, once for each key of this object.
        """
        anew = refresh and key not in self._refreshed
        stored = None if anew else self.get(key)
        if stored is not None:
            return stored, True
        elsewhere = False

        async def ask_in_turn() -> Answer:
            nonlocal elsewhere
            async with self._turn(raw_key(key)) as waited:
                found = self.get(key) if waited and not anew else None
                if found is not None:
                    elsewhere = True
                    return found
                return await self._ask_and_store(key, ask, about)

        answer, joined = await self.flights.join(key, ask_in_turn)
        if joined:
            self.tally.hit("joined", label_of(_label(about)), answer.usage)
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
            # a call that ended between our look and our turn has its answer there already; a look costs 8 us
            yield waited or self._read(raw)[0] is not None
        finally:
            self._turnstile.give_back(raw)

    async def _ask_and_store(self, key: str, ask: Callable[[], Awaitable[Answer]], about: About | None) -> Answer:
        answer = await ask()
        try:
            self.put(key, answer, about=about)
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
        """Put a text in place of a stored answer's, and pin it; says whether there is such an entry.

        Usage and provenance stay; `about` says that it was corrected. Raises CacheError where it cannot be stored.
        """
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

    # --- the similar tier, told in similar.py ---

    @property
    def similar(self) -> Similar:
        """The passages whose rewrites may be replayed, opened at first use. Raises CacheError."""
        if self._similar is None:
            from .similar import Similar

            try:
                self._similar = Similar(self.path, self.notices)
            except (OSError, sqlite3.Error) as error:
                raise CacheError(
                    f"The index of passages cannot be opened ({error}).", where=str(self.path), remedy=ELSEWHERE
                ) from error
        return self._similar

    def replay(self, scope: str, source: str, judge: Judge, *, drops_hesitations: bool) -> Replay | None:
        """A rewrite of a passage made from that of a near one and accepted by `judge`; counted with what it saves.

        `scope` is made with `scope_of`. Raises CacheError where the index cannot be opened.
        """
        found = self.similar.find(scope, source, judge, drops_hesitations=drops_hesitations)
        if found is not None:
            self.tally.hit("replay", label_of(_label(found.about)), found.answer.usage)
        return found

    def remember(self, scope: str, source: str, rewrite: str, answer: Answer, *, about: About | None = None) -> None:
        """Keep an accepted rewrite, so that it may be replayed.

        Raises CacheError where the index cannot be opened or the answer not be stored.
        """
        try:
            self.similar.remember(scope, source, rewrite, answer, about=about)
        except (ValueError, TypeError) as error:
            raise CacheError(f"A passage cannot be kept ({error}).", remedy="Use smaller passages.") from error

    def rewrite_of(self, scope: str, source: str) -> str | None:
        """The rewrite kept for just this passage. Raises CacheError where the index cannot be opened."""
        return self.similar.rewrite_of(scope, source)

    # --- upkeep and moving, told in upkeep.py and moving.py ---

    def stats(self, price: Callable[[str, Usage], float | None] | None = None) -> CacheStats:
        """What is there and what it saved. Reads every entry. `price` gives the dollars of a model's tokens."""
        return upkeep.stats(self, price)

    def verify(self) -> VerifyReport:
        """Read every entry; move damaged ones to a file `damaged-TIME.jsonl` (every column, bytes as hex).

        A database that SQLite itself finds damaged is set aside as a whole, and what is readable taken over.
        """
        self._front.forget()
        return upkeep.verify(self)

    def prune(self, *, max_bytes: int | None = None, older_than: float | None = None) -> int:
        """Remove entries stored more than `older_than` days ago, then the oldest until `max_bytes` suffice.

        `max_bytes` counts sealed entries and keys; the file is a little larger. Pinned entries stay, though they
        count. How many were removed.
        """
        with self.working():
            removed = upkeep.prune(self.store, max_bytes, older_than)
        if older_than is not None and self.has_passages():
            removed += self.similar.prune(older_than=time.time() - older_than * SECONDS_PER_DAY)
        self._front.forget()
        return removed

    def clear(self, *, pinned: bool = False) -> int:
        """Remove all remembered passages and all entries, pinned ones only if `pinned`; how many entries there were."""
        if self.has_passages():
            self.similar.prune()
        with self.working():
            removed = self.store.drop([rowid for rowid, _, _, held in self.store.sizes() if pinned or not held])
        self._front.forget()
        return removed

    def has_passages(self) -> bool:
        """Whether an index of passages is there; asking does not make one."""
        return self._similar is not None or (self.path / "similar.db").exists()

    def export(self, path: Path | str) -> int:
        """Write every sound entry, and every passage, to a JSONL file, whole or not at all; how many entries.

        Raises CacheError.
        """
        return moving.export(self, Path(path))

    def import_(self, path: Path | str, judge: Judge | None = None) -> int:
        """Add the entries and passages of an exported file; what is there already stays. How many entries were added.

        Answers are judged whenever they are read; a passage's rewrite is judged here too, and left out where
        `judge(source, rewrite)` says no. Raises CacheError where the file is no export. A line that cannot be read is
        left out, and a notice counts them.
        """
        return moving.import_(self, Path(path), judge)

    def close(self) -> None:
        """Write the tally, and close this thread's connection; those of other threads close when they end."""
        self.tally.flush()
        self._turnstile.close()
        if self._similar is not None:
            self._similar.close()
            self._similar = None
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _label(about: About | None) -> bytes:
    import json

    return json.dumps(dict(about or {})).encode()
