"""What a cache weighs and what goes: limits count answers and passages alike, and removed bytes come back."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import rewriter.cache.similar as similar_tier
from rewriter.cache.store import EARLIER, SETTINGS

from rewriter.cache import PassageCache, scope_of
from rewriter.records import Answer

SCOPE = scope_of("e", "m", {}, "p")


def passage(number: int) -> str:
    rng = random.Random(number)
    return f"Number {number}: " + " ".join("".join(rng.choices("abcdefghijklm", k=7)) for _ in range(30)) + "."


def remember(cache: PassageCache, number: int) -> None:
    text = passage(number)
    cache.remember(SCOPE, text, text, Answer(text=text), about={"model": "m"})


def kept(cache: PassageCache, number: int) -> bool:
    return cache.rewrite_of(SCOPE, passage(number)) is not None


def put(cache: PassageCache, number: int) -> str:
    key = f"{number:064x}"
    cache.put(key, Answer(text=os.urandom(400).hex()))
    return key


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_the_oldest_go_whether_answers_or_passages(tmp_path: Path, clock: list[float]) -> None:
    with PassageCache(tmp_path) as cache:
        keys = {}
        for n in range(8):
            clock[0] += 60
            if n % 2:
                remember(cache, n)
            else:
                keys[n] = put(cache, n)
        assert cache.prune(max_bytes=10**9) == 0
        assert cache.prune(older_than=3.5 / 1440) == 4  # what is older than three and a half minutes

        def left() -> list[int]:
            return [n for n in range(8) if (kept(cache, n) if n % 2 else keys[n] in cache)]

        assert left() == [4, 5, 6, 7]
        newest = next(cache.similar.sizes())[2] + next(cache.store.sizes())[2]
        assert cache.prune(max_bytes=newest) == 2 and left() == [6, 7]
        assert cache.prune(max_bytes=newest - 1) == 1 and left() == [7]


def test_a_limit_counts_passages(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "l", size_limit=20_000) as limited, PassageCache(tmp_path / "f") as free:
        for n in range(120):
            for cache in (limited, free):
                remember(cache, n)
        assert len(free.similar) == 120
        assert 10 <= len(limited.similar) < 60
        assert kept(limited, 119) and not kept(limited, 0)
        weight = sum(size for _, _, size in limited.similar.sizes())
        assert weight <= 20_000


def test_pinned_answers_outlive_passages(tmp_path: Path) -> None:
    with PassageCache(tmp_path, size_limit=3000) as cache:
        key = put(cache, 1)
        cache.pin(key)
        for n in range(60):
            remember(cache, n)
        assert key in cache and len(cache.similar) < 10


def test_many_passages_go_in_one_pass_and_leave_no_code_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_tier, "SEVERAL", 10)
    with PassageCache(tmp_path) as cache:
        for n in range(40):
            remember(cache, n)
        sizes = list(cache.similar.sizes())
        gone = [place for place, _, _ in sizes[:30]]
        cache.similar.drop(gone)
        assert len(cache.similar) == 10 == sum(kept(cache, n) for n in range(40))
        with closing(sqlite3.connect(tmp_path / "similar.db")) as connection:
            orphans = "SELECT count(*) FROM codes WHERE id NOT IN (SELECT id FROM passages)"
            assert connection.execute(orphans).fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM codes").fetchone()[0] >= 10


def test_removed_bytes_come_back(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        for n in range(400):
            put(cache, n)
            remember(cache, n)
        before = cache.stats().bytes
        cache.prune(max_bytes=20_000)
        assert cache.stats().bytes < before / 3
        last = put(cache, 1000)
        assert last in cache and cache.verify().damaged == 0
        cache.clear()
        assert cache.stats().bytes < 300_000 and len(cache) == 0 and len(cache.similar) == 0


def test_a_database_an_earlier_version_made_is_opened_and_kept_as_it_is(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        key = put(cache, 1)
    with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None)) as connection:
        for name, values in EARLIER.items():
            connection.execute("UPDATE Settings SET value = ? WHERE key = ?", (*values, name))
    with PassageCache(tmp_path) as cache:
        assert cache.notices == [] and key in cache
        put(cache, 2)
        (auto,) = cache.store._sql("SELECT value FROM Settings WHERE key = 'sqlite_auto_vacuum'").fetchone()
        assert auto == 1 != SETTINGS["sqlite_auto_vacuum"]
    assert not list(tmp_path.glob("damaged*"))


def test_a_hit_leaves_no_read_open_that_would_hold_up_a_checkpoint(tmp_path: Path) -> None:
    with PassageCache(tmp_path, memory=0) as cache:
        key = put(cache, 1)
        assert cache.get(key)
        put(cache, 2)
        assert cache.get(key) and cache.get("ff" * 32) is None
        with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None, timeout=0.1)) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
