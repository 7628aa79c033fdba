"""Looking after a cache: what is there, is it sound, what goes."""

from __future__ import annotations

import heapq
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rewriter.errors import CacheError
from rewriter.records import Record, Usage

from . import seal
from .entry import entry_of, label_of, unpack
from .moving import writing_file
from .tally import Saved

if TYPE_CHECKING:
    from .exact import ExactCache
    from .similar import Similar
    from .store import Row, Store


class CacheStats(Record):
    """What a cache holds, and what it saved.

    `passages` are those of the similar tier, `by_meaning` those in its index of meanings, where there is one; `bytes`
    is the size of all files, `payload` that of the sealed entries. `models` and `styles` count entries by what was said
    in `about`. `hits`, `misses` and, of the misses, `damaged`, `newer` and `expired` are this object's own; `saved` and
    `misses_ever` are of all runs whose processes ended in order. `saved_dollars` is by model, for models whose price is
    known. Times are ISO 8601, UTC.
    """

    entries: int
    passages: int
    by_meaning: int | None
    pinned: int
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
    expired: int
    saved: tuple[Saved, ...]
    saved_dollars: dict[str, float]
    misses_ever: int


class VerifyReport(Record):
    """Entries read; how many are sound, of a newer version (left alone), damaged (moved to the file `set_aside`).

    `damaged_passages` are those of the similar tier that were damaged and removed.
    """

    entries: int
    sound: int
    newer: int
    damaged: int
    set_aside: str | None = None
    damaged_passages: int = 0


def stats(
    cache: ExactCache, passages: int, by_meaning: int | None, price: Callable[[str, Usage], float | None] | None
) -> CacheStats:
    """See PassageCache.stats."""
    models: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    times: list[float] = []
    entries = payload = pinned = 0
    with cache.working():
        for row in cache.store.rows():
            entries += 1
            payload += len(row.value) if isinstance(row.value, bytes) else 0
            pinned += row.pinned
            with suppress(seal.Damaged, seal.Newer):
                opened = unpack(row.key if isinstance(row.key, bytes) else b"", row.value)
                model, style = label_of(opened.about)
                models[model or opened.answer.model] += 1
                styles[style] += 1
                times.append(opened.when)
    saved, misses = cache.tally.saved()
    return CacheStats(
        entries=entries,
        passages=passages,
        by_meaning=by_meaning,
        pinned=pinned,
        bytes=file_bytes(cache.path),
        payload=payload,
        models=dict(models),
        styles=dict(styles),
        oldest=iso(min(times)) if times else None,
        newest=iso(max(times)) if times else None,
        **{name: cache.counts[name] for name in ("hits", "misses", "damaged", "newer", "expired")},
        saved=tuple(saved),
        saved_dollars=_dollars(saved, price) if price else {},
        misses_ever=misses,
    )


def iso(when: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def _dollars(saved: list[Saved], price: Callable[[str, Usage], float | None]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for row in saved:
        dollars = price(row.model, row.usage)
        if dollars is not None:
            sums[row.model] = round(sums.get(row.model, 0.0) + dollars, 6)
    return sums


def file_bytes(folder: Path) -> int:
    """The size of the databases and their side files, those set aside left out."""
    return sum(p.stat().st_size for p in folder.glob("*.db*") if not p.name.startswith("damaged"))


class Item(NamedTuple):
    """An entry or a passage, as far as a prune looks at it: when it was stored, its bytes, its row."""

    stored: float
    size: int
    pinned: bool
    passage: bool
    rowid: int


def items(store: Store, similar: Similar | None) -> Iterator[Item]:
    """Entries and passages, the newest first."""
    entries = (Item(stored, size, pinned, False, rowid) for rowid, stored, size, pinned in store.sizes())
    kept = similar.sizes() if similar is not None else ()
    passages = (Item(stored, size, False, True, rowid) for rowid, stored, size in kept)
    return heapq.merge(entries, passages, key=lambda item: -item.stored)


def weight(store: Store, similar: Similar | None) -> int:
    """Bytes of all entries and passages."""
    return sum(item.size for item in items(store, similar))


def prune(store: Store, similar: Similar | None, max_bytes: int | None, before: float | None) -> tuple[int, int]:
    """Remove what was stored before a time (seconds since 1970), then the oldest until `max_bytes` suffice.

    How many were removed, and the bytes of what is left.
    """
    left = above = store.pinned_bytes()
    doomed: dict[bool, list[int]] = {True: [], False: []}
    for item in items(store, similar):
        if item.pinned:
            continue
        above += item.size
        if (before is not None and item.stored < before) or (max_bytes is not None and above > max_bytes):
            doomed[item.passage].append(item.rowid)
        else:
            left += item.size
    if similar is not None and doomed[True]:
        similar.drop(doomed[True])
    return store.drop(doomed[False]) + len(doomed[True]), left


def shrink(store: Store, similar: Similar | None) -> None:
    """Give the room of what was removed back to the disk, where that is much."""
    store.shrink()
    if similar is not None:
        similar.shrink()


def verify(cache: ExactCache) -> VerifyReport:
    """See PassageCache.verify."""
    store = cache.store
    try:
        store.check_pages()
        states: Counter[str] = Counter()
        damaged: list[Row] = []
        for row in store.rows():
            state = state_of(row)
            states[state] += 1
            if state == "damaged":
                damaged.append(row)
    except sqlite3.Error as error:
        if not cache.mend(store, error):
            raise CacheError(f"The cache cannot be read ({error}).", where=str(cache.path)) from error
        aside = max(cache.path.glob("damaged-*.db"))
        return verify(cache).model_copy(update={"damaged": 1, "set_aside": str(aside)})
    moved = _move_out(cache, damaged) if damaged else None
    return VerifyReport(
        entries=states.total(),
        sound=states["sound"],
        newer=states["newer"],
        damaged=len(damaged),
        set_aside=str(moved) if moved else None,
    )


def state_of(row: Row) -> str:
    """sound, newer or damaged."""
    if not row.regular:
        return "damaged"
    try:
        entry_of(row.key, row.value)  # type: ignore[arg-type]  # regular, so it is bytes
    except seal.Newer:
        return "newer"
    except seal.Damaged:
        return "damaged"
    return "sound"


def _move_out(cache: ExactCache, rows: list[Row]) -> Path:
    from .aside import stamp  # which loads diskcache

    aside = cache.path / f"damaged-{stamp()}.jsonl"
    with (
        writing_file(aside),
        os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out,
    ):
        for row in rows:
            columns = {n: v.hex() if isinstance(v, bytes) else v for n, v in row._asdict().items()}
            out.write(json.dumps(columns) + "\n")
        out.flush()
        os.fsync(out.fileno())
    with cache.working():
        cache.store.drop([row.rowid for row in rows])
    return aside
