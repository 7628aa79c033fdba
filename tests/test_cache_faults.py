"""Faults on purpose: planted rows and settings, damage, full disk, kill -9, many at once."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import diskcache
import pytest
from rewriter.cache.store import BytesDisk, Refused

from rewriter.cache import PassageCache
from rewriter.cache import seal as sealing
from rewriter.errors import CacheError
from rewriter.records import Answer

KEY, SMALL = "ab" * 32, "01" * 32
RAW = bytes.fromhex(KEY)
INSERT = "INSERT INTO Cache (key, raw, mode, filename, value, store_time) VALUES (?, ?, ?, ?, ?, 1.0)"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def sql(folder: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as connection:
        connection.execute(statement, values)


def use_everything(cache: PassageCache, tmp_path: Path) -> None:
    assert cache.get(KEY) is None
    assert KEY not in cache
    cache.stats()
    cache.export(tmp_path / "e.jsonl")
    report = cache.verify()
    assert report.damaged == 1 and report.sound == 0
    assert len(cache) == 0
    assert Path(str(report.set_aside)).is_file()


@pytest.mark.parametrize("raw", [0, 1, None, 7])
@pytest.mark.parametrize("mode", [0, 2, 3, 4, 9, None])
@pytest.mark.parametrize("file", [None, "planted.val", "../outside.txt"])
def test_planted_rows_are_refused(tmp_path: Path, raw: int | None, mode: int | None, file: str | None) -> None:
    folder, fell = tmp_path / "c", tmp_path / "executed"
    outside = tmp_path / "outside.txt"
    outside.write_bytes(sealing.seal(RAW, b'{"about":{},"when":1}\n{"text":"planted"}'))
    PassageCache(folder).close()
    (folder / "planted.val").write_bytes(pickle.dumps(Bomb(fell)))
    value = None if file else pickle.dumps(Bomb(fell))
    sql(folder, INSERT, (RAW, raw, mode, file, value))
    with PassageCache(folder) as cache:
        use_everything(cache, tmp_path)
        assert cache.notices == []
    assert not fell.exists()
    assert outside.exists() and (folder / "planted.val").exists()


def test_a_pickled_key_is_never_unpickled(tmp_path: Path) -> None:
    folder, fell = tmp_path / "c", tmp_path / "executed"
    PassageCache(folder).close()
    sql(folder, INSERT, (pickle.dumps(Bomb(fell)), 0, 1, None, b"x"))
    with PassageCache(folder) as cache:
        use_everything(cache, tmp_path)
    assert not fell.exists()


def test_overwriting_a_planted_file_name_deletes_no_file(tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    with PassageCache(tmp_path / "c") as cache:
        sql(cache.path, INSERT, (RAW, 1, 2, "../precious.txt", None))
        cache.put(KEY, Answer(text="a"))
        assert cache.get(KEY) == Answer(text="a")
        cache.clear()
    assert outside.read_text() == "keep"


def test_the_disk_refuses_through_diskcaches_own_calls_too(tmp_path: Path) -> None:
    with diskcache.Cache(str(tmp_path / "d"), disk=BytesDisk) as store:
        store[b"k"] = b"v"
        assert store[b"k"] == b"v" and list(store) == [b"k"]
        for key, value in ((b"k", "text"), ("k", b"v"), (b"k", {"a": 1}), (1, b"v"), ((1,), b"v")):
            with pytest.raises(Refused):
                store[key] = value
        for mode, name in ((4, None), (2, "x"), (3, "x"), (1, "x")):
            store._sql("UPDATE Cache SET mode = ?, filename = ?", (mode, name))
            with pytest.raises(Refused):
                store[b"k"]
        store._sql("UPDATE Cache SET raw = 0")
        with pytest.raises(Refused):
            list(store)


SETTINGS = [
    ("disk__directory", "/tmp"),
    ("disk_pickle_protocol", 5),
    ("_disk", "gone"),
    ("_sql", "gone"),
    ("eviction_policy", "least-recently-used"),
    ("sqlite_writable_schema", 1),
    ("sqlite_temp_store_directory", "'/tmp'"),
    ("sqlite_synchronous", 0),
    ("statistics", 1),
    ("size_limit", 1),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_planted_settings_are_never_used(tmp_path: Path, name: str, value: object) -> None:
    with PassageCache(tmp_path) as cache:
        cache.put(KEY, Answer(text="kept"))
    sql(tmp_path, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", (name, value))
    with PassageCache(tmp_path) as cache:
        assert "not ours" in cache.notices[0] and "1 answers" in cache.notices[0]
        assert cache.get(KEY) == Answer(text="kept")
        cache.put(KEY, Answer(text="on"))
    assert len(list(tmp_path.glob("damaged-*.db"))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
        "CREATE TABLE other (a)",
        "CREATE VIEW v AS SELECT load_extension('x')",
        "DROP INDEX Cache_key_raw",
    ],
)
def test_a_changed_schema_is_set_aside_or_mended(tmp_path: Path, statement: str) -> None:
    with PassageCache(tmp_path) as cache:
        cache.put(KEY, Answer(text="kept"))
    sql(tmp_path, statement)
    with PassageCache(tmp_path) as cache:
        assert cache.get(KEY) == Answer(text="kept")
        cache.put("cd" * 32, Answer(text="more"))
        assert len(cache) == 2
        assert bool(cache.notices) == statement.startswith("CREATE")


# --- damage ---


def test_a_damaged_entry_is_a_counted_miss_and_can_be_put_right(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        cache.put(KEY, Answer(text="a"))
        cache.put("cd" * 32, Answer(text="b"))
        sql(tmp_path, "UPDATE Cache SET value = CAST(value || x'00' AS BLOB) WHERE key = ?", (RAW,))
        assert cache.get(KEY) is None and cache.stats().damaged == 1
        report = cache.verify()
        assert (report.entries, report.sound, report.damaged) == (2, 1, 1)
        assert KEY in Path(str(report.set_aside)).read_text()
        cache.put(KEY, Answer(text="right"))
        assert cache.get(KEY) == Answer(text="right") and cache.verify().damaged == 0


@pytest.mark.parametrize("plain", [b"{}", b"[]", b"no", b'{"about":{},"when":1}\n{"text":1}', b"\n" + b"[" * 100_000])
def test_a_forged_payload_of_another_shape_is_a_miss(tmp_path: Path, plain: bytes) -> None:
    with PassageCache(tmp_path) as cache:
        sql(tmp_path, INSERT, (RAW, 1, 1, None, sealing.seal(RAW, plain)))
        assert cache.get(KEY) is None and cache.stats().damaged == 1


def test_an_entry_of_a_newer_version_is_a_miss_and_left_alone(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        newer = sealing.MAGIC + bytes([sealing.VERSION + 1]) + b"whatever it holds"
        sql(tmp_path, INSERT, (RAW, 1, 1, None, newer))
        assert cache.get(KEY) is None and cache.stats().newer == 1
        cache.put(KEY, Answer(text="ours"))
        report = cache.verify()
        assert (report.newer, report.damaged) == (1, 0) and len(cache) == 1
        with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
            assert connection.execute("SELECT value FROM Cache").fetchone() == (newer,)


@pytest.mark.parametrize("content", [b"garbage" * 2000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache.db").write_bytes(content)
    with PassageCache(tmp_path) as cache:
        assert "set aside" in cache.notices[0]
        cache.put(KEY, Answer(text="a"))
        assert cache.get(KEY) == Answer(text="a")
    (aside,) = tmp_path.glob("damaged-*.db")
    assert aside.read_bytes() == content


def test_pages_damaged_in_the_middle_are_noticed_and_the_rest_saved(tmp_path: Path) -> None:
    keys = [f"{n:064x}" for n in range(300)]
    with PassageCache(tmp_path) as cache:
        for key in keys:
            cache.put(key, Answer(text=os.urandom(300).hex()))
    size = (tmp_path / "cache.db").stat().st_size
    with (tmp_path / "cache.db").open("r+b") as file:
        file.seek(size * 3 // 4)
        file.write(b"\xff" * (size // 8))
    with PassageCache(tmp_path) as cache:
        report = cache.verify()
        assert report.damaged and report.set_aside and Path(report.set_aside).exists()
        assert "set aside" in cache.notices[0]
        held = [key for key in keys if cache.get(key)]
        assert 30 < len(held) < 300
        cache.put(KEY, Answer(text="a"))
        assert cache.verify().damaged == 0


# --- no room, no permission ---


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError, match="--no-cache"):
        PassageCache(tmp_path / place)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CacheError, match="--no-cache"):
        PassageCache(tmp_path)


async def test_a_full_disk_fails_the_put_not_the_run(tmp_path: Path) -> None:
    async def ask() -> Answer:
        return Answer(text=os.urandom(50_000).hex())

    with PassageCache(tmp_path) as cache:
        cache.put(KEY, Answer(text="before"))
        await cache.aput(SMALL, Answer(text="small"))
        ((pages,),) = cache.store._sql("PRAGMA page_count").fetchall()
        writer = cache._together._thread
        assert writer is not None
        for limit in (cache.store._sql, lambda s: writer.submit(lambda: cache.store._sql(s)).result()):
            limit(f"PRAGMA max_page_count = {pages}")  # each thread's connection has its own
        with pytest.raises(CacheError, match="full"):
            cache.put("cd" * 32, await ask())
        with pytest.raises(CacheError, match="full"):
            await cache.aput("cd" * 32, await ask())
        answer, hit = await cache.once("cd" * 32, ask)
        assert answer.text and not hit
        assert "full" in cache.notices[0]
        assert cache.get(KEY) == Answer(text="before")
        # of those that were put at the same time, what fits is stored, and only who put the others hears of it
        big = cache.aput("cd" * 32, await ask())
        told = await asyncio.gather(big, cache.aput(SMALL, Answer(text="fits")), return_exceptions=True)
        assert [type(t) for t in told] == [CacheError, type(None)]
        assert cache.get(SMALL) == Answer(text="fits") and cache.get("cd" * 32) is None


async def test_a_database_that_stays_locked_is_an_error_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rewriter.cache.store.LOCK_TIMEOUT", 0.2)
    with PassageCache(tmp_path) as cache:
        cache.put(KEY, Answer(text="before"))
        with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CacheError, match="locked"):
                cache.put(SMALL, Answer(text="a"))
            with pytest.raises(CacheError, match="locked"):
                await asyncio.wait_for(cache.aput(SMALL, Answer(text="a")), 10)
            start = time.monotonic()
            puts = (cache.aput(f"{n:064x}", Answer(text="a")) for n in range(40))
            told = await asyncio.gather(*puts, return_exceptions=True)
            assert [type(t) for t in told] == [CacheError] * 40
            assert time.monotonic() - start < 40 * 0.2 / 2  # nobody waits for himself after all have waited
            with pytest.raises(CacheError, match="locked"):
                cache.prune(max_bytes=0)
            assert cache.get(KEY) == Answer(text="before")
            other.execute("ROLLBACK")
        await cache.aput(SMALL, Answer(text="a"))
        assert cache.get(SMALL) == Answer(text="a")


# --- many at once, killed ---

WRITER = """
import os, sys
from rewriter.cache import PassageCache
from rewriter.records import Answer
cache, start = PassageCache(sys.argv[1]), int(sys.argv[2])
for n in range(start, start + 100_000):
    key = f"{n:064x}"
    cache.put(key, Answer(text=key * 10))
    os.write(1, key.encode() + b"\\n")
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for turn in range(10):  # twenty kills
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), str((turn * 2 + w) * 1_000_000)], stdout=subprocess.PIPE
            )
            for w in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().decode().strip() for _ in range(20)]
        time.sleep(0.006 * turn)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            rest, _ = writer.communicate()
            acknowledged += [line for line in rest.decode().splitlines() if len(line) == 64]
    with PassageCache(tmp_path) as cache:
        assert cache.notices == []
        wrong = [key for key in acknowledged if cache.get(key) != Answer(text=key * 10)]
        assert len(acknowledged) >= 400 and wrong == []
        assert cache.verify().damaged == 0


COMES_AND_GOES = """
import sys
from rewriter.cache import PassageCache
with PassageCache(sys.argv[1]) as cache:
    print(len(cache), len(cache.similar))
"""


def test_two_caches_of_a_process_and_one_that_comes_and_goes(tmp_path: Path) -> None:
    """Opening the files once more must not cost the first cache its locks: who came last would remove its log."""

    def other_process() -> str:
        command = [sys.executable, "-c", COMES_AND_GOES, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def remember(cache: PassageCache, text: str) -> None:
        cache.remember("00" * 32, text, text, Answer(text=text))

    with PassageCache(tmp_path) as first:
        first.put(KEY, Answer(text="one"))
        remember(first, "The first passage of all.")
        with PassageCache(tmp_path) as second:
            assert second.get(KEY) and len(second.similar) == 1
        assert other_process() == "1 1"
        first.put("cd" * 32, Answer(text="two"))
        remember(first, "Another passage came later.")
        assert other_process() == "2 2"


def test_four_processes_open_a_new_cache_at_once(tmp_path: Path) -> None:
    script = WRITER.replace("100_000", "10")
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "new"), str(n * 100)], stdout=subprocess.PIPE)
        for n in range(4)
    ]
    for process in started:
        out, _ = process.communicate()
        assert process.returncode == 0 and len(out.splitlines()) == 10
    with PassageCache(tmp_path / "new") as cache:
        assert len(cache) == 40 and cache.notices == []


def test_eight_threads_at_once(tmp_path: Path) -> None:
    wrong: list[str] = []

    def work(cache: PassageCache, own: int) -> None:
        for n in range(25):
            key = f"{own * 1000 + n:064x}"
            cache.put(key, Answer(text=key))
            if cache.get(key) != Answer(text=key):
                wrong.append(key)
        cache.close()

    with PassageCache(tmp_path) as cache:
        threads = [threading.Thread(target=work, args=(cache, own)) for own in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(cache) == 200 and wrong == [] and cache.notices == []


def test_the_cache_package_loads_no_diskcache_before_it_is_opened() -> None:
    code = "import rewriter.cache, sys; print('diskcache' in sys.modules, 'sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
