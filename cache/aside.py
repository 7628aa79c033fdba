"""A database that is damaged or foreign: renamed, never deleted, and what is readable taken over into a fresh one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from . import seal
from .entry import entry_of
from .pages import DATABASE
from .store import Row, Store, readable_rows, sound

LOCK_FILE = "set-aside.lock"


def stamp() -> str:
    """The time, as part of a file name."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def set_aside(folder: Path, why: str) -> str | None:
    """Rename the database and its side files, and take over what is readable. A sentence for the user.

    None where the database is in order: another process was here first. Raises OSError and sqlite3.Error.
    """
    with _alone(folder):
        if sound(folder / DATABASE):
            return None
        aside = f"damaged-{stamp()}.db"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                (folder / (DATABASE + suffix)).rename(folder / (aside + suffix))
    saved = _salvage(folder, folder / aside)
    return (
        f"The cache's database was damaged or not one of ours ({why}); it was set aside as {folder / aside},"
        f" {saved} answers that could be read were taken over, and the cache goes on."
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time sets a database aside; on Windows an open file cannot be renamed anyway."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _salvage(folder: Path, aside: Path) -> int:
    """Sound entries of a database set aside, put into a fresh one; how many."""
    store = Store(folder)
    try:
        return sum(_take(store, row) for row in readable_rows(aside))
    finally:
        store.close()


def _take(store: Store, row: Row) -> bool:
    if not row.regular:
        return False
    assert isinstance(row.key, bytes) and isinstance(row.value, bytes)
    try:
        when = entry_of(row.key, row.value).when
    except (seal.Damaged, seal.Newer):
        return False
    return store.write_if_absent(row.key, row.value, when, pinned=row.pinned)
