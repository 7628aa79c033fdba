"""The passage cache: answers by request key, durable once stored, never a wrong or a damaged one."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rewriter.errors import CacheError
from rewriter.records import Answer, Record

from . import seal
from .flight import Flights

if TYPE_CHECKING:
    from .store import Row, Store

About = Mapping[str, str | int | float]
FOLDER_VARIABLE = "REWRITER_CACHE"
ELSEWHERE = "Choose another folder with --cache DIR, or go without with --no-cache."
SECONDS_PER_DAY = 86400.0
# With a size limit, a prune goes below it by this part, so that not every put prunes again.
PRUNE_SLACK = 0.1
EXPORT_FORMAT = {"format": "transcript-rewriter answers", "version": 1}


class CacheStats(Record):
    """What a cache holds, and what it was asked since it was opened.

    `bytes` is the size of its files; `payload` that of the sealed entries. `models` and `styles` count entries by what
    was said in `about`. `hits`, `misses`, `damaged` (of the misses) and `newer` (of the misses) are this object's own.
    Times are ISO 8601, UTC.
    """

    entries: int
    bytes: int
    payload: int
    models: dict[str, int]
    styles: dict[str, int]
    oldest: str | None
    newest: str | None
    hits: int
    misses: int
    damaged: int
    newer: int


class VerifyReport(Record):
    """Entries read; how many are sound, of a newer version (left alone), damaged (moved to the file `set_aside`)."""

    entries: int
    sound: int
    newer: int
    damaged: int
    set_aside: str | None = None


def default_folder() -> Path:
    """REWRITER_CACHE, or the user's cache folder by the system's custom."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("transcript-rewriter")) / "answers"


def open_cache(path: Path | str | None = None) -> PassageCache:
    """The cache in a folder, by default the user's own. Raises CacheError where it cannot be opened."""
    return PassageCache(path if path is not None else default_folder())


def _raw_key(key: str) -> bytes:
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != seal.KEY_BYTES:
        raise CacheError("A cache key is 64 hex digits.", where=repr(key)[:80], remedy="Make it with request_key.")
    return raw


def _plain(answer: Answer, about: About, when: float) -> bytes:
    """The payload: a line of JSON on where the answer came from, a line of JSON with the answer.

    Two lines, so that a hit parses the second only. Not ASCII: escapes would make Chinese twice as long.
    """
    lines = ({"about": dict(about), "when": when}, answer.model_dump(mode="json"))
    text = "\n".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) for line in lines)
    return text.encode("utf-8", "surrogatepass")


def _answer(key: bytes, sealed: object) -> Answer:
    """The answer of an entry. Raises seal.Damaged or seal.Newer."""
    plain = seal.unseal(key, sealed)
    try:
        text = plain[plain.index(b"\n") :].decode("utf-8", "surrogatepass")
        return Answer.model_validate(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise seal.Damaged("the payload is no answer") from error


def _opened(key: bytes, sealed: object) -> tuple[Answer, dict[str, Any], float]:
    """The answer of an entry, what is known about it, and when it was stored. Raises seal.Damaged or seal.Newer."""
    answer = _answer(key, sealed)
    try:
        known = json.loads(seal.unseal(key, sealed).partition(b"\n")[0])
        return answer, dict(known["about"]), float(known["when"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise seal.Damaged("the payload does not say where it came from") from error


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


class PassageCache:
    """Answers in a folder, usable from several threads and processes at once.

    `put` returns when the answer is on disk; a kill after that loses nothing. `get` writes nothing, and gives back an
    answer only where its seal, key and shape are right; all else is a miss, counted in `stats()`. Nothing is removed
    unless `size_limit` (bytes of entries) asks for it: then the oldest go first. Calls block for the time of one SQLite
    statement: some microseconds for a hit, one fsync for a put. `notices` collects what a user should hear.
    """

    def __init__(self, path: Path | str, *, size_limit: int | None = None) -> None:
        """Open the cache in folder `path`, made where missing. Raises CacheError with a remedy."""
        self.path = Path(path).expanduser().absolute()
        self.size_limit = size_limit
        self.notices: list[str] = []
        self._counts: Counter[str] = Counter()
        self._flights = Flights()
        self._lock = threading.Lock()
        self._written: int | None = None
        self._store = self._open()

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
            aside = f"damaged-{_stamp()}.db"
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
            *_, when = _opened(row.key, row.value)
        except (seal.Damaged, seal.Newer):
            return False
        return store.write_if_absent(row.key, row.value, when)

    def _mend(self, store: Store, error: sqlite3.Error) -> bool:
        """After an error of SQLite: where the file is damaged, go on with a fresh one. Says whether it was."""
        from .store import is_damage

        if not is_damage(error):
            return False
        with self._lock:
            if self._store is store:  # else another thread was here first
                store.close()
                self._set_aside(str(error))
                self._store = self._open()
        return True

    # --- entries ---

    def get(self, key: str) -> Answer | None:
        """The answer stored under a key, None where there is none that is sound. Never writes an entry.

        Raises CacheError for a key that is none; trouble with the database is a miss and a notice.
        """
        raw, store = _raw_key(key), self._store
        try:
            sealed = store.value_of(raw)
        except sqlite3.Error as error:
            if not self._mend(store, error):
                self.notices.append(f"The cache could not be read ({error}).")
            sealed = None
        if sealed is None:
            self._counts["misses"] += 1
            return None
        return self._judged(raw, sealed)

    def _judged(self, raw: bytes, sealed: bytes) -> Answer | None:
        try:
            answer = _answer(raw, sealed)
        except (seal.Damaged, seal.Newer) as error:
            self._counts["misses"] += 1
            self._counts["newer" if isinstance(error, seal.Newer) else "damaged"] += 1
            return None
        self._counts["hits"] += 1
        return answer

    def put(self, key: str, answer: Answer, *, about: About | None = None) -> None:
        """Store an answer durably, in place of what was there.

        `about` says where it came from (model, style, prompt hash); it must hold no secret. An entry of a newer version
        is left alone. Raises CacheError where the answer cannot be stored (disk full, no permission).
        """
        raw = _raw_key(key)
        when = time.time()
        try:
            sealed = seal.seal(raw, _plain(answer, about or {}, when))
        except ValueError as error:
            raise CacheError(f"The answer cannot be stored ({error}).", remedy="Use smaller passages.") from error
        store = self._store
        try:
            store.write(raw, sealed, when)
        except sqlite3.Error as error:
            if not self._mend(store, error):
                raise self._unwritable(error) from error
            try:
                self._store.write(raw, sealed, when)
            except sqlite3.Error as second:
                raise self._unwritable(second) from second
        self._keep_small(len(sealed) + len(raw))

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
            self._written = sum(size for _, _, size in self._store.sizes())
        else:
            self._written += added
        if self._written > self.size_limit:
            self.prune(max_bytes=int(self.size_limit * (1 - PRUNE_SLACK)))
            self._written = None

    async def once(
        self, key: str, ask: Callable[[], Awaitable[Answer]], *, about: About | None = None
    ) -> tuple[Answer, bool]:
        """The answer, and whether it cost no call of one's own: from the store, or asked and stored now.

        The same key in flight twice in one event loop is asked once; who joins gets the same answer (True) or the same
        error. Stored before it is returned; where storing fails, the answer is still returned, and a notice says so.
        """
        stored = self.get(key)
        if stored is not None:
            return stored, True

        async def ask_and_store() -> Answer:
            answer = await ask()
            try:
                self.put(key, answer, about=about)
            except CacheError as error:
                self.notices.append(str(error))
            return answer

        return await self._flights.join(key, ask_and_store)

    def delete(self, key: str) -> bool:
        """Remove an entry; says whether there was one. Raises CacheError where it cannot be removed."""
        raw = _raw_key(key)
        with self._writing():
            return self._store.remove(raw)

    def __contains__(self, key: str) -> bool:
        """Whether a sound answer is stored under the key; counts as neither hit nor miss."""
        raw = _raw_key(key)
        try:
            sealed = self._store.value_of(raw)
            return sealed is not None and bool(_opened(raw, sealed))
        except (sqlite3.Error, seal.Damaged, seal.Newer):
            return False

    def __len__(self) -> int:
        """Entries, damaged ones and those of newer versions included."""
        with self._writing():
            return self._store.entries()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CacheError(
                f"The cache could not be read or changed ({error}).",
                where=str(self.path),
                remedy="`rewriter cache verify` finds damage.",
            ) from error

    # --- upkeep ---

    def stats(self) -> CacheStats:
        """What is there. Reads every entry."""
        models: Counter[str] = Counter()
        styles: Counter[str] = Counter()
        times: list[float] = []
        entries = payload = 0
        with self._writing():
            for row in self._store.rows():
                entries += 1
                payload += len(row.value) if isinstance(row.value, bytes) else 0
                with contextlib.suppress(seal.Damaged, seal.Newer):
                    answer, about, when = _opened(row.key if isinstance(row.key, bytes) else b"", row.value)
                    models[str(about.get("model") or answer.model)] += 1
                    styles[str(about.get("style", ""))] += 1
                    times.append(when)
        return CacheStats(
            entries=entries,
            bytes=self._file_bytes(),
            payload=payload,
            models=dict(models),
            styles=dict(styles),
            oldest=_iso(min(times)) if times else None,
            newest=_iso(max(times)) if times else None,
            **{name: self._counts[name] for name in ("hits", "misses", "damaged", "newer")},
        )

    def _file_bytes(self) -> int:
        return sum(p.stat().st_size for p in self.path.glob("cache.db*"))

    def verify(self) -> VerifyReport:
        """Read every entry; move damaged ones to a file `damaged-TIME.jsonl` (every column, bytes as hex).

        A database that SQLite itself finds damaged is set aside as a whole, and what is readable taken over.
        """
        store = self._store
        try:
            store.check_pages()
            found = [(row, self._state(row)) for row in store.rows()]
        except sqlite3.Error as error:
            if not self._mend(store, error):
                raise CacheError(f"The cache cannot be read ({error}).", where=str(self.path)) from error
            return self.verify().model_copy(update={"damaged": 1, "set_aside": str(self._newest_aside())})
        states = Counter(state for _, state in found)
        damaged = [row for row, state in found if state == "damaged"]
        aside = self._move_out(damaged) if damaged else None
        return VerifyReport(
            entries=len(found),
            sound=states["sound"],
            newer=states["newer"],
            damaged=len(damaged),
            set_aside=str(aside) if aside else None,
        )

    def _newest_aside(self) -> Path:
        return max(self.path.glob("damaged-*.db"))

    @staticmethod
    def _state(row: Row) -> str:
        if not row.regular:
            return "damaged"
        assert isinstance(row.key, bytes)
        try:
            _opened(row.key, row.value)
        except seal.Newer:
            return "newer"
        except seal.Damaged:
            return "damaged"
        return "sound"

    def _move_out(self, rows: list[Row]) -> Path:
        aside = self.path / f"damaged-{_stamp()}.jsonl"
        with (
            self._writing_file(aside),
            os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out,
        ):
            for row in rows:
                columns = {n: v.hex() if isinstance(v, bytes) else v for n, v in row._asdict().items()}
                out.write(json.dumps(columns) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with self._writing():
            self._store.drop([row.rowid for row in rows])
        return aside

    @contextlib.contextmanager
    def _writing_file(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheError(
                f"The file cannot be read or written ({error.strerror}).",
                where=str(path),
                remedy="Choose another place.",
            ) from error

    def prune(self, *, max_bytes: int | None = None, older_than: float | None = None) -> int:
        """Remove entries stored more than `older_than` days ago, then the oldest until `max_bytes` suffice.

        `max_bytes` counts sealed entries and keys; the file is a little larger. How many were removed.
        """
        limit = time.time() - older_than * SECONDS_PER_DAY if older_than is not None else None
        doomed, kept = [], 0
        with self._writing():
            for rowid, stored, size in self._store.sizes():
                kept += size
                if (limit is not None and stored < limit) or (max_bytes is not None and kept > max_bytes):
                    doomed.append(rowid)
            return self._store.drop(doomed)

    def clear(self) -> int:
        """Remove every entry; how many there were."""
        with self._writing():
            return self._store.drop([rowid for rowid, _, _ in self._store.sizes()])

    # --- moving ---

    def export(self, path: Path | str) -> int:
        """Write every sound entry to a JSONL file, whole or not at all; how many. Raises CacheError."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        count = 0
        with self._writing_file(target), self._writing():
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                    out.write(json.dumps(EXPORT_FORMAT) + "\n")
                    for row in self._store.rows():
                        if row.regular and self._state(row) == "sound":
                            out.write(self._line(row) + "\n")
                            count += 1
                    out.flush()
                    os.fsync(out.fileno())
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        return count

    @staticmethod
    def _line(row: Row) -> str:
        assert isinstance(row.key, bytes)
        answer, about, when = _opened(row.key, row.value)
        return json.dumps(
            {"key": row.key.hex(), "answer": answer.model_dump(mode="json"), "about": about, "when": when}
        )

    def import_(self, path: Path | str) -> int:
        """Add the entries of an exported file; what is there already stays. How many were added.

        Raises CacheError where the file is no export. A line that cannot be read is left out, and a notice counts them.
        """
        source, added, bad = Path(path), 0, 0
        with self._writing_file(source), self._writing(), source.open("rb") as lines:
            if not self._is_export(next(lines, b"")):
                raise CacheError("This is not an exported cache.", where=str(source), remedy="Export one first.")
            for line in lines:
                try:
                    added += self._import_line(line)
                except (ValueError, TypeError, KeyError, RecursionError, CacheError):
                    bad += 1
        if bad:
            self.notices.append(f"{source}: {bad} lines could not be read and were left out.")
        return added

    @staticmethod
    def _is_export(line: bytes) -> bool:
        try:
            return bool(json.loads(line) == EXPORT_FORMAT)
        except ValueError:
            return False

    def _import_line(self, line: bytes) -> bool:
        entry = json.loads(line)
        raw, when = _raw_key(entry["key"]), float(entry["when"])
        answer = Answer.model_validate(entry["answer"])
        sealed = seal.seal(raw, _plain(answer, entry["about"], when))
        return self._store.write_if_absent(raw, sealed, when)

    def close(self) -> None:
        """Close this thread's connection; those of other threads close when they end."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
