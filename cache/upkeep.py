"""Looking after a cache: what is there, is it sound, what goes."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rewriter.errors import CacheError
from rewriter.records import Record, Usage

from . import seal
from .entry import entry_of
from .tally import Saved

if TYPE_CHECKING:
    from .answers import PassageCache
    from .store import Row, Store

SECONDS_PER_DAY = 86400.0


class CacheStats(Record):
    """What a cache holds, and what it saved.

    `passages` are those of the similar tier; `bytes` is the size of all files, `payload` that of the sealed entries.
    `models` and `styles` count entries by what was said in `about`. `hits`, `misses` and, of the misses, `damaged`,
    `newer` and `expired` are this object's own; `saved` and `misses_ever` are of all runs whose processes ended in
    order. `saved_dollars` is by model, for models whose price is known. Times are ISO 8601, UTC.
    """

    entries: int
    passages: int
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
    """Entries read; how many are sound, of a newer version (left alone), damaged (moved to the file `set_aside`)."""

    entries: int
    sound: int
    newer: int
    damaged: int
    set_aside: str | None = None


def stats(cache: PassageCache, price: Callable[[str, Usage], float | None] | None) -> CacheStats:
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
                entry = entry_of(row.key if isinstance(row.key, bytes) else b"", row.value)
                models[str(entry.about.get("model") or entry.answer.model)] += 1
                styles[str(entry.about.get("style", ""))] += 1
                times.append(entry.when)
    saved, misses = cache.tally.saved()
    return CacheStats(
        entries=entries,
        passages=len(cache.similar) if cache.has_passages() else 0,
        pinned=pinned,
        bytes=sum(p.stat().st_size for p in cache.path.glob("*.db*") if not p.name.startswith("damaged")),
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


def prune(store: Store, max_bytes: int | None, older_than: float | None) -> int:
    """See PassageCache.prune."""
    limit = time.time() - older_than * SECONDS_PER_DAY if older_than is not None else None
    sizes = store.sizes()
    kept = sum(size for _, _, size, pinned in sizes if pinned)
    doomed = []
    for rowid, stored, size, pinned in sizes:
        if pinned:
            continue
        if (limit is not None and stored < limit) or (max_bytes is not None and kept + size > max_bytes):
            doomed.append(rowid)
        kept += size
    return store.drop(doomed)


def verify(cache: PassageCache) -> VerifyReport:
    """See PassageCache.verify."""
    store = cache.store
    if cache.has_passages():
        cache.similar.verify()
    try:
        store.check_pages()
        found = [(row, state_of(row)) for row in store.rows()]
    except sqlite3.Error as error:
        if not cache.mend(store, error):
            raise CacheError(f"The cache cannot be read ({error}).", where=str(cache.path)) from error
        aside = max(cache.path.glob("damaged-*.db"))
        return verify(cache).model_copy(update={"damaged": 1, "set_aside": str(aside)})
    states = Counter(state for _, state in found)
    damaged = [row for row, state in found if state == "damaged"]
    moved = _move_out(cache, damaged) if damaged else None
    return VerifyReport(
        entries=len(found),
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


def _move_out(cache: PassageCache, rows: list[Row]) -> Path:
    from .answers import stamp
    from .moving import writing_file

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
