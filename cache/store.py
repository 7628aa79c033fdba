"""diskcache, narrowed: rows of bytes under keys of bytes, nothing else read, no file but the database touched.

diskcache unpickles what it finds (CVE-2025-69872): a planted row with raw=0 or mode=4, or a file name in a row, makes
it run code or read and delete files. Here a Disk that knows one mode refuses all others, reads go by a SELECT that
asks for that mode only, and the Settings table, whose rows diskcache turns into attributes and PRAGMA statements, is
checked before diskcache sees it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from diskcache import Cache, Disk

from .pages import DATABASE, begin_log, give_back, make_private, transaction

LOCK_TIMEOUT = 60.0  # seconds to wait for another process's write; diskcache's own default
RAW_MODE = 1  # diskcache's MODE_RAW: the value stands in the row as it is

SETTINGS: dict[str, Any] = {
    "eviction_policy": "none",  # diskcache would drop the oldest above 1 GiB without a word
    "cull_limit": 0,
    "statistics": 0,  # on, every hit would write
    "tag_index": 0,
    "sqlite_auto_vacuum": 0,  # FULL would write a page more with every other put; `shrink` gives bytes back
    "sqlite_cache_size": 2048,  # pages
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 67108864,  # bytes
    "sqlite_synchronous": 2,  # FULL: an acknowledged answer survives a power cut; NORMAL would survive only kill -9
    "sqlite_trusted_schema": 0,  # a planted trigger or view may call no function with side effects
    "disk_min_file_size": 2**31 - 1,  # never a file beside the database
    "disk_pickle_protocol": 0,  # nothing is pickled
    "size_limit": 2**62,  # bytes; not used with policy none
}
# What earlier versions set; a database made by one of them stays as it is.
EARLIER: dict[str, frozenset[int]] = {"sqlite_auto_vacuum": frozenset({1}), "sqlite_cache_size": frozenset({8192})}
# Bytes. With SQLite's 4,096 a page holds two answers of 1.5 KB and wastes a fifth of itself; larger ones waste less and
# cost a put the time to write them.
PAGE = 16384
COUNTERS = frozenset({"count", "size", "hits", "misses"})
OBJECTS = {
    "Settings": "table",
    "sqlite_autoindex_Settings_1": "index",
    "Cache": "table",
    "Cache_key_raw": "index",
    "Cache_expire_time": "index",
    **{
        f"Settings_{what}": "trigger"
        for what in ("count_insert", "count_delete", "size_insert", "size_update", "size_delete")
    },
}

COLUMNS = "rowid, key, raw, mode, filename, store_time, value, tag"
PINNED = 1  # in diskcache's column `tag`
SELECT = "SELECT value FROM Cache WHERE key = ? AND raw = 1 AND mode = 1 AND filename IS NULL"
# One statement instead of diskcache's four: no old file name is followed, so a planted one deletes nothing.
UPSERT = (
    "INSERT INTO Cache (key, raw, store_time, mode, value) VALUES (?1, 1, ?2, 1, ?3)"
    " ON CONFLICT (key, raw) DO UPDATE SET store_time = ?2, expire_time = NULL, access_time = NULL, size = 0,"
    " mode = 1, filename = NULL, value = ?3"
    # an entry of a newer version of this program stays
    " WHERE NOT (raw = 1 AND mode = 1 AND typeof(value) = 'blob' AND substr(value, 1, 4) = ?4"
    " AND substr(value, 5, 1) > ?5)"
)
ADD = (
    "INSERT INTO Cache (key, raw, store_time, mode, value, tag) VALUES (?1, 1, ?2, 1, ?3, ?4)"
    " ON CONFLICT (key, raw) DO NOTHING"
)


# What diskcache sets up and this store does not use: expiry and running totals. Each would cost every put a page more.
UNUSED = [
    "DROP INDEX IF EXISTS Cache_expire_time",
    *(f"DROP TRIGGER IF EXISTS {name}" for name, kind in OBJECTS.items() if kind == "trigger"),
]
NEEDED = frozenset(OBJECTS) - {name for name, kind in OBJECTS.items() if kind == "trigger"} - {"Cache_expire_time"}


class Refused(ValueError):
    """A row, key or file that this store does not write and will not read."""


class Foreign(Exception):
    """A database that is damaged, or not one of ours."""


class Row(NamedTuple):
    """One row as it stands in the database; everything in it may be wrong."""

    rowid: int
    key: object
    raw: object
    mode: object
    filename: object
    stored: object
    value: object
    tag: object

    @property
    def pinned(self) -> bool:
        """Whether it is kept from every prune."""
        return self.tag == PINNED

    @property
    def regular(self) -> bool:
        """Whether this store could have written it, as far as its columns go."""
        shape = (self.raw, self.mode, self.filename) == (1, RAW_MODE, None)
        return shape and type(self.key) is bytes and type(self.value) is bytes


class BytesDisk(Disk):  # type: ignore[misc]  # diskcache publishes no types
    """Bytes in, bytes out, in the row itself; every other mode, type and every file name is refused."""

    def put(self, key: object) -> tuple[Any, Any]:
        """A key of bytes as it is. Raises Refused."""
        if type(key) is not bytes:
            raise Refused("keys are bytes")
        return key, True

    def get(self, key: object, raw: object) -> bytes:
        """A key of bytes as it is. Raises Refused for any other, above all for one that would be unpickled."""
        if raw not in (1, True) or type(key) is not bytes:
            raise Refused("a key this store did not write")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[Any, Any, None, Any]:
        """Bytes, in the row. Raises Refused."""
        if read or type(value) is not bytes:
            raise Refused("values are bytes")
        return 0, RAW_MODE, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes:
        """The row's bytes. Raises Refused for every mode but one and for every file name."""
        if mode != RAW_MODE or filename is not None or read or type(value) is not bytes:
            raise Refused("a value this store did not write")
        return value

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """No entry has a file. Raises Refused."""
        raise Refused("no entry has a file of its own")

    def remove(self, file_path: object) -> None:
        """No entry has a file, so none is ever removed, whatever a row says."""


def inspect(path: Path) -> bool:
    """Whether a database is set up completely; a new one, or one that another process is just making, is not.

    Raises Foreign for anything else: no database, other tables, triggers or settings than ours.
    """
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            objects = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
            stored = "Settings" in {name for name, _, _ in objects}
            settings = dict(connection.execute("SELECT key, value FROM Settings").fetchall()) if stored else {}
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise Foreign(str(error)) from error
        raise
    for name, kind, sql in objects:
        if OBJECTS.get(name) != kind or str(sql).upper().startswith("CREATE VIRTUAL"):
            raise Foreign(f"it holds a {kind} {name!r}, which is not ours")
    for name, value in settings.items():
        if name in COUNTERS:
            continue
        if name not in SETTINGS or (value != SETTINGS[name] and value not in EARLIER.get(name, ())):
            raise Foreign(f"its setting {name!r} is not ours")
    return {name for name, _, _ in objects} == NEEDED and settings.keys() == SETTINGS.keys() | COUNTERS


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is bad, not that it is busy, full or forbidden."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    # SQLITE_ERROR: a table or column of ours is missing
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


def sound(path: Path) -> bool:
    """Whether a database can be used: a new one, or one of ours whose pages SQLite finds in order. Reads all of it."""
    try:
        inspect(path)
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except (Foreign, sqlite3.DatabaseError):
        return False


def readable_rows(path: Path) -> Iterator[Row]:
    """The rows of a database set aside, as far as SQLite can read it."""
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection, suppress(sqlite3.Error):
        connection.execute("PRAGMA trusted_schema = OFF")
        yield from (Row(*row) for row in connection.execute(f"SELECT {COLUMNS} FROM Cache"))  # noqa: S608  constants


def set_page(path: Path) -> None:
    """Give a new database its page size, which diskcache would do too late; one that has pages keeps its own."""
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        begin_log(connection)


class Process:
    """How often this process is a forked child's child: a connection does not outlive a fork."""

    forks = 0


def _forked() -> None:
    Process.forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Reader(NamedTuple):
    """A cursor's `execute`, kept for the next hit, and the fork it was made in."""

    execute: Callable[[str, tuple[bytes]], sqlite3.Cursor]
    forks: int


class Store(Cache):  # type: ignore[misc]  # diskcache publishes no types
    """One diskcache Cache in a folder, opened without writing where it is already set up."""

    def __init__(self, folder: Path) -> None:
        """Raises Foreign, OSError or sqlite3.Error."""
        database = folder / DATABASE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(database)
        if inspect(database):
            self._adopt(str(folder))
        else:
            set_page(database)
            super().__init__(str(folder), timeout=LOCK_TIMEOUT, disk=BytesDisk, **SETTINGS)  # pyright: ignore[reportArgumentType]  # seconds, a float
            for statement in UNUSED:
                self._sql(statement)

    def _adopt(self, folder: str) -> None:
        """What Cache.__init__ does, less its forty writes of settings that stand there already (5 ms of 5.5)."""
        self._directory = folder
        self._timeout = LOCK_TIMEOUT
        self._local = threading.local()
        self._txn_id = None
        self._disk = BytesDisk(folder)
        for name, value in SETTINGS.items():
            setattr(self, name, value)
        ((self._page_size,),) = self._sql("PRAGMA page_size").fetchall()

    def value_of(self, key: bytes) -> bytes | None:
        """The bytes under a key. Writes nothing."""
        reader = getattr(self._local, "reader", None)
        if reader is None or reader.forks != Process.forks:
            reader = self._local.reader = Reader(self._con.cursor().execute, Process.forks)
        row = reader.execute(SELECT, (key,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Close this thread's connection."""
        self._local.reader = None
        super().close()

    def changed(self) -> bool:
        """Whether another connection has committed since this thread asked last, or may have."""
        try:
            ((version,),) = self._con.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error:
            return True
        before, self._local.version = getattr(self._local, "version", None), version
        return bool(before != version)

    def is_pinned(self, key: bytes) -> bool:
        """Whether the entry under a key is pinned."""
        return bool(self._sql("SELECT tag FROM Cache WHERE key = ? AND raw = 1", (key,)).fetchone() == (PINNED,))

    def pin(self, key: bytes, pinned: bool) -> bool:
        """Pin or release the entry under a key; says whether there is one."""
        tag = PINNED if pinned else None
        return bool(self._sql("UPDATE Cache SET tag = ? WHERE key = ? AND raw = 1", (tag, key)).rowcount > 0)

    def write_all(self, entries: Iterable[tuple[bytes, bytes, float]]) -> None:
        """As `write`, many (key, value, stored) in one transaction: all are on disk when this returns, or none."""
        with transaction(self._con):
            rows = ((key, stored, value, value[:4], value[4:5]) for key, value, stored in entries)
            self._con.executemany(UPSERT, rows)

    def write(self, key: bytes, value: bytes, stored: float) -> None:
        """Put a sealed entry under a key, in place of what was there; on disk when this returns."""
        self._con.execute(UPSERT, (key, stored, value, value[:4], value[4:5]))

    def write_if_absent(self, key: bytes, value: bytes, stored: float, *, pinned: bool = False) -> bool:
        """Put bytes under a key that has none; says whether it did."""
        return bool(self._sql(ADD, (key, stored, value, PINNED if pinned else None)).rowcount > 0)

    def rows(self) -> Iterator[Row]:
        """Every row as it stands, in order of arrival, a batch at a time so that no lock is held between."""
        last = -(2**63)
        while True:
            batch = self._sql(
                f"SELECT {COLUMNS} FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT 256",  # noqa: S608  constants
                (last,),
            ).fetchall()
            if not batch:
                return
            yield from (Row(*row) for row in batch)
            last = batch[-1][0]

    def sizes(self) -> Iterator[tuple[int, float, int, bool]]:
        """(rowid, when stored, bytes of key and value, pinned), newest first."""
        for rowid, stored, size, pinned in self._sql(
            "SELECT rowid, ifnull(CAST(store_time AS REAL), 0.0), length(key) + length(value), tag IS 1 FROM Cache"
            " ORDER BY 2 DESC, rowid DESC"
        ):
            yield rowid, stored, size or 0, bool(pinned)

    def pinned_bytes(self) -> int:
        """Bytes of key and value of the pinned entries."""
        ((found,),) = self._sql("SELECT total(length(key) + length(value)) FROM Cache WHERE tag IS 1").fetchall()
        return int(found)

    def drop(self, rowids: list[int]) -> int:
        """Remove rows, in one transaction; how many there were."""
        with transaction(self._con):
            return int(self._con.executemany("DELETE FROM Cache WHERE rowid = ?", ((r,) for r in rowids)).rowcount)

    def clear_all(self, *, pinned: bool) -> int:
        """Remove every row, pinned ones only where said; how many there were."""
        return int(self._sql("DELETE FROM Cache" if pinned else "DELETE FROM Cache WHERE tag IS NOT 1").rowcount)

    def shrink(self) -> None:
        """Give the room of removed rows back to the disk, where that is much."""
        give_back(self._con)

    def remove(self, key: bytes) -> bool:
        """Remove the row under a key; says whether there was one."""
        return bool(self._sql("DELETE FROM Cache WHERE key = ? AND raw = 1", (key,)).rowcount > 0)

    def check_pages(self) -> None:
        """Have SQLite check its pages and indexes. Raises sqlite3.DatabaseError (SQLITE_CORRUPT) for damage."""
        ((said,),) = self._sql("PRAGMA integrity_check(1)").fetchall()
        if said != "ok":
            error = sqlite3.DatabaseError(said)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

    def entries(self) -> int:
        """Rows, counted, not taken from the counter in the Settings table."""
        return int(self._sql("SELECT count(*) FROM Cache").fetchone()[0])
