"""SQLite's pages, which both databases of a cache have: the room of removed rows given back."""

from __future__ import annotations

import sqlite3
from contextlib import suppress


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
