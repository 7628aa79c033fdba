"""What both databases of a cache need: a file of the owner's only, transactions, the room of removed rows back."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIES, PAUSE = 1000, 0.01  # seconds between; setting up a database takes milliseconds
DATABASE = "cache.db"  # of answers; diskcache gives it this name


def make_private(path: Path) -> None:
    """Make an empty file that only the owner can read, unless there is one; then take others' rights from it.

    A database that may be in use is never opened here: when a process closes any handle of a file, the system drops all
    locks the process has on it, those of SQLite's connections too, and another process may then take the database for
    unused and remove the log that this one still writes to.
    """
    if path.exists():
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)  # SQLite gives its -wal and -shm files the database's own mode
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        with suppress(FileExistsError):  # another process or thread was here first
            os.link(part, path)  # closed before anyone can open it under its name
    except OSError:  # no links here (FAT, say)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        part.unlink(missing_ok=True)


def begin_log(connection: sqlite3.Connection) -> None:
    """Set WAL mode, which a database keeps. Raises sqlite3.Error.

    On a new database that another process is setting up as well, SQLite fails at once instead of waiting.
    """
    for _ in range(TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        time.sleep(PAUSE)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection held the database all the time one waited."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, on disk at its end as the connection's `synchronous` says.

    Waits for other writers as long as the connection's timeout says. (diskcache's own `transact` gives up at once or,
    with `retry`, tries for ever, also where the disk fails.) Raises sqlite3.Error.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def give_back(connection: sqlite3.Connection) -> None:
    """Have a database's unused pages cut off where they are more than a quarter.

    That writes all that is left anew. Where it cannot be done, for want of room or because another process is at work,
    later entries use the pages.
    """
    with suppress(sqlite3.Error):
        ((free,),) = connection.execute("PRAGMA freelist_count").fetchall()
        ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
        if free * 4 > pages:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
