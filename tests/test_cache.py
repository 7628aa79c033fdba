"""The passage cache: keys, seals, entries, upkeep, moving."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rewriter.cache.entry import entry_of, pack
from rewriter.cache.tally import Tally

from rewriter.cache import PassageCache, default_folder, open_cache, request_key
from rewriter.cache import seal as sealing
from rewriter.errors import CacheError
from rewriter.records import Answer, Request, Usage

KEY = "ab" * 32
OTHER = "cd" * 32


def request(**changes: object) -> Request:
    base = {
        "model": "m1",
        "messages": ({"role": "system", "content": "整理"}, {"role": "user", "content": "10²"}),
        "parameters": {"temperature": 0},
    }
    return Request.model_validate({**base, **changes})


@pytest.fixture
def cache(tmp_path: Path):
    with PassageCache(tmp_path / "c") as store:
        yield store


# --- keys ---

SAME = [
    ("https://api.example.com/v1", "https://api.example.com/v1/"),
    ("https://api.example.com/v1", "HTTPS://me:secret@API.example.com:443/v1"),
    ("http://127.0.0.1:80/v1", "http://127.0.0.1/v1"),
    ("https://a.example/v1?api-version=2&api_key=one", "https://a.example/v1?api-version=2&api_key=two"),
    ("embedded:qwen", " embedded:qwen "),
]
APART = [
    ("https://api.example.com/v1", "https://api.example.com/v2"),
    ("https://api.example.com/v1", "http://api.example.com/v1"),
    ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8081/v1"),
    ("https://a.example/Path", "https://a.example/path"),
    ("https://a.example/v1?api-version=1", "https://a.example/v1?api-version=2"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_endpoints_that_are_one(one: str, two: str) -> None:
    assert request_key(one, request()) == request_key(two, request())


@pytest.mark.parametrize(("one", "two"), APART)
def test_endpoints_that_are_two(one: str, two: str) -> None:
    assert request_key(one, request()) != request_key(two, request())


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "m2"},
        {"parameters": {"temperature": 1}},
        {"parameters": {"temperature": 0, "seed": 1}},
        {"messages": ({"role": "system", "content": "润色"}, {"role": "user", "content": "10²"})},
        {"messages": ({"role": "system", "content": "整理"}, {"role": "user", "content": "102"})},
        {"messages": ({"role": "user", "content": "10²"},)},
        {"messages": ({"role": "system", "content": "整理"}, {"role": "user", "content": "10² "})},
    ],
)
def test_whatever_decides_the_answer_is_in_the_key(changes: dict[str, object]) -> None:
    assert request_key("e", request(**changes)) != request_key("e", request())


def test_the_key_is_stable_and_its_order_does_not_matter() -> None:
    one = request_key("e", request(parameters={"a": 1, "b": 2}))
    assert one == request_key("e", request(parameters={"b": 2, "a": 1}))
    assert len(one) == 64
    assert len(request_key("e", request(messages=({"role": "user", "content": "\ud800"},)))) == 64


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["role", "content", "name"]), st.text(max_size=8), max_size=3), max_size=4
    ),
    st.dictionaries(st.text(max_size=4), st.integers() | st.none() | st.floats(allow_nan=False) | st.text(max_size=4)),
)
def test_the_key_is_that_of_the_whole_request_as_canonical_json(
    messages: list[dict[str, str]], parameters: dict[str, object]
) -> None:
    made = Request(model='m"2', messages=tuple(messages), parameters=parameters)
    whole = {"version": 1, "endpoint": "e", "model": 'm"2', "parameters": parameters, "messages": messages}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert request_key("e", made) == hashlib.sha256(text.encode("ascii")).hexdigest()


# --- seals ---


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_a_sealed_payload_opens_as_it_was(plain: bytes) -> None:
    key = bytes(32)
    assert sealing.unseal(key, sealing.seal(key, plain)) == plain


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.data())
def test_no_changed_byte_goes_unseen(plain: bytes, data: st.DataObject) -> None:
    key = bytes(32)
    sealed = bytearray(sealing.seal(key, plain))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((sealing.Damaged, sealing.Newer)):
        sealing.unseal(key, bytes(sealed))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(sealing.Damaged):
        sealing.unseal(bytes(32), data)


def test_an_entry_of_another_key_is_refused() -> None:
    with pytest.raises(sealing.Damaged):
        sealing.unseal(b"2" * 32, sealing.seal(b"1" * 32, b"x"))


def test_a_small_entry_cannot_unpack_to_gigabytes() -> None:
    packer = zlib.compressobj(9, wbits=sealing.RAW)
    key, bomb = bytes(32), packer.compress(bytes(200_000_000)) + packer.flush()
    with pytest.raises(sealing.Damaged, match="length"):
        sealing.unseal(key, sealing.closed(key, bomb, sealing.COMPRESSED, 10))


# Entries as earlier versions of the seal wrote them: key 32 zero bytes, about model m and style clean, when 1.5.
EARLIER = {
    "1, deflated": (
        "5452574101010000009cc09c153b1200b8885d73a1cd268e4e8c0000000000000000000000000000000000000000000000000000000000"
        "0000007801458eb10dc23014447bc6b8da422094026f63ec0fb6f46347d85140963760089a6c41b6819a15f8d0d0ddbfaf777715e690c6"
        "025dd127470c8d1e0ab95c99445b2613d114264f117abbeedaaaa2d045083c97fb6b5ede8fdb94ceec843a8618b2974f2e69907bcce624"
        "2915d63067c115421cbe6d7b259ef5e4a0370a32e0e7eea4e8bfa27d00a3153535",
        "你好，world",
    ),
    "2": (
        "54525741021007c1b33ea810458e1a3293bf4f25e20000000061000000000000000000000000000000000000000000000000000000000000"
        "00003ff8000000000000000000000000000100000000000000090000000000000000000000000000000300000100040000001d7b226d6f64"
        "656c223a226d222c227374796c65223a22636c65616e227d6d73746f70e4bda0e5a5bdefbc8c776f726c64",
        "你好，world",
    ),
    "2, deflated": (
        "54525741026e38e5604d61422d18287f28f1ac7056010000017f0000000000000000000000000000000000000000000000000000000000"
        "000000b3ffc1800c18a11c4e6441209b998181918105c890ad56cacd4f49cd51b252ca55d2512a2ea9cc4905b293735213f3946a738b4b"
        "f20b9eec5df074e9def77b7acaf38b72521446b978420300",
        "你好，world " * 20,
    ),
}


@pytest.mark.parametrize("version", EARLIER)
def test_entries_of_earlier_versions_are_still_read(cache: PassageCache, version: str) -> None:
    sealed, text = EARLIER[version]
    raw, key = bytes(32), "00" * 32
    assert sealing.key_of(bytes.fromhex(sealed)) == raw
    cache.store.write(raw, bytes.fromhex(sealed), 1.5)
    expected = Answer(text=text, usage=Usage(calls=1, input=9, output=3), model="m")
    assert cache.get(key) == expected
    entry = cache.entry(key)
    assert entry is not None
    assert (entry.answer, entry.about, entry.when) == (expected, {"model": "m", "style": "clean"}, 1.5)
    cache.put(key, Answer(text="new"))
    assert cache.get(key) == Answer(text="new")


@pytest.mark.parametrize("version", EARLIER)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_changed_byte_of_an_earlier_entry_goes_unseen(version: str, data: st.DataObject) -> None:
    sealed = bytearray.fromhex(EARLIER[version][0])
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((sealing.Damaged, sealing.Newer)):
        sealing.unseal(bytes(32), bytes(sealed))


@settings(max_examples=80, deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_categories=())),
    st.text(max_size=5),
    st.integers(0, 2**63),
    st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | st.text(max_size=5), max_size=3),
)
@example("\ud83d\ude00" + "\u4e00" * 9, "", 0, {})  # two lone surrogates, not one character
@example("\u4e00" * 9 + "\U0001f600", "", 0, {})
def test_an_entry_comes_back_as_it_was(text: str, name: str, count: int, about: dict[str, int | str]) -> None:
    answer = Answer(text=text, finish=name, model=name, usage=Usage(calls=1, input=count, output=3))
    key = bytes(32)
    entry = entry_of(key, sealing.seal(key, pack(answer, about, 7.25)))
    assert (entry.answer, entry.about, entry.when) == (answer, about, 7.25)


# --- entries ---


def test_an_answer_comes_back_whole_and_after_reopening(tmp_path: Path) -> None:
    answer = Answer(
        text="𠮷野家 \ud800\x00 e\u0301", finish="length", usage=Usage(calls=1, input=9, output=3), model="m"
    )
    with PassageCache(tmp_path) as cache:
        assert cache.get(KEY) is None
        cache.put(KEY, answer, about={"style": "clean", "model": "m"})
        assert cache.get(KEY) == answer
    with PassageCache(tmp_path) as cache:
        assert cache.get(KEY) == answer
        assert KEY in cache and OTHER not in cache and len(cache) == 1
        assert cache.notices == []


def test_the_last_put_wins_and_delete_deletes(cache: PassageCache) -> None:
    cache.put(KEY, Answer(text="wrong"))
    cache.put(KEY, Answer(text="right"))
    assert cache.get(KEY) == Answer(text="right")
    assert len(cache) == 1
    assert cache.delete(KEY) and not cache.delete(KEY)
    assert cache.get(KEY) is None


def test_an_empty_cache_is_one(cache: PassageCache) -> None:
    """`cache or PassageCache()` must not open another."""
    assert bool(cache) and len(cache) == 0
    assert bool(cache.similar) and len(cache.similar) == 0


def test_a_hit_writes_nothing(cache: PassageCache) -> None:
    cache.put(KEY, Answer(text="a"))
    before = {p.name: p.read_bytes() for p in cache.path.iterdir() if p.suffix != ".db-shm"}
    for _ in range(5):
        assert cache.get(KEY) is not None
    after = {p.name: p.read_bytes() for p in cache.path.iterdir() if p.suffix != ".db-shm"}
    assert {n: b for n, b in after.items() if not n.endswith("-shm")} == {
        n: b for n, b in before.items() if not n.endswith("-shm")
    }


LONG = [
    "我们这个组大概有十二个人，之前一直在做运维。" * 16,  # fits in two bytes a character, not in three
    "我们 really " * 100,
    "a" * 5000,
    "\ue5e5\u20ac\ufa0c𠮷" * 120,
    "我" * 400 + "\ud800",
    "".join(chr(n) for n in range(0xE000, 0xE180)),
]


@pytest.mark.parametrize("text", LONG)
def test_long_texts_come_back_and_take_little_room(cache: PassageCache, text: str) -> None:
    cache.put(KEY, Answer(text=text))
    assert cache.get(KEY) == Answer(text=text)
    assert cache.stats().payload <= 1.1 * len(text.encode("utf-8", "surrogatepass")) + 120


def test_chinese_takes_two_bytes_a_character(cache: PassageCache) -> None:
    text = "我们这个组大概有十二个人，之前一直在做运维。" * 10
    cache.put(KEY, Answer(text=text))
    assert cache.get(KEY) == Answer(text=text)
    assert cache.stats().payload <= 2 * len(text) + 120


@pytest.mark.parametrize("key", ["", "xyz", "ab" * 31, "ab" * 33])
def test_what_is_no_key_is_an_error(cache: PassageCache, key: str) -> None:
    with pytest.raises(CacheError, match="64 hex"):
        cache.get(key)


def test_files_are_the_owners_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with PassageCache(tmp_path / "deep" / "c") as cache:
            cache.put(KEY, Answer(text="a"))
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in cache.path.iterdir()}
            assert stat.S_IMODE(cache.path.stat().st_mode) == 0o700
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes
    assert "cache.db-wal" in modes


def test_where_it_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REWRITER_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    with open_cache() as named, open_cache(tmp_path / "$HOME") as dollar:
        assert named.path == tmp_path / "named"
        assert dollar.path.is_dir() and (dollar.path / "cache.db").is_file()
    monkeypatch.delenv("REWRITER_CACHE")
    assert default_folder().parts[-2:] == ("transcript-rewriter", "answers")


def test_who_only_looks_makes_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no cache here"):
        open_cache(tmp_path / "mistyped", make=False)
    assert not (tmp_path / "mistyped").exists()
    open_cache(tmp_path / "c").close()
    open_cache(tmp_path / "c", make=False).close()


# --- asked once ---


async def test_once_asks_then_remembers(cache: PassageCache) -> None:
    calls = []

    async def ask() -> Answer:
        calls.append(1)
        return Answer(text="a")

    assert await cache.once(KEY, ask) == (Answer(text="a"), False)
    assert await cache.once(KEY, ask) == (Answer(text="a"), True)
    assert len(calls) == 1


async def test_the_same_key_in_flight_is_asked_once(cache: PassageCache) -> None:
    calls = []

    async def ask() -> Answer:
        calls.append(1)
        await asyncio.sleep(0.02)
        return Answer(text="a")

    got = await asyncio.gather(*(cache.once(KEY, ask) for _ in range(5)))
    assert [hit for _, hit in got] == [False, True, True, True, True]
    assert len(calls) == 1


async def test_an_error_reaches_every_waiter_and_is_not_kept(cache: PassageCache) -> None:
    async def fail() -> Answer:
        await asyncio.sleep(0.01)
        raise ConnectionError("down")

    async def ask() -> Answer:
        return Answer(text="a")

    got = await asyncio.gather(*(cache.once(KEY, fail) for _ in range(3)), return_exceptions=True)
    assert [type(g) for g in got] == [ConnectionError] * 3
    assert await cache.once(KEY, ask) == (Answer(text="a"), False)


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_one_waiter_cancelled_does_not_cancel_the_other(cache: PassageCache, cancelled: int) -> None:
    async def ask() -> Answer:
        await asyncio.sleep(0.03)
        return Answer(text="a")

    tasks = [asyncio.create_task(cache.once(KEY, ask)) for _ in range(2)]
    await asyncio.sleep(0.01)
    tasks[cancelled].cancel()
    answer, _ = await tasks[1 - cancelled]
    assert answer == Answer(text="a")
    assert tasks[cancelled].cancelled()


async def test_a_call_nobody_waits_for_is_cancelled_and_can_be_asked_anew(cache: PassageCache) -> None:
    seen = []

    async def slow() -> Answer:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return Answer(text="never")

    async def ask() -> Answer:
        return Answer(text="a")

    task = asyncio.create_task(cache.once(KEY, slow))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await cache.once(KEY, ask) == (Answer(text="a"), False)
    assert seen == ["cancelled"]


async def test_refresh_asks_once_more_and_overwrites(cache: PassageCache) -> None:
    texts = iter(["first", "second", "third"])

    async def ask() -> Answer:
        return Answer(text=next(texts))

    await cache.once(KEY, ask)
    got = [await cache.once(KEY, ask, refresh=True) for _ in range(3)]
    assert [(a.text, hit) for a, hit in got] == [("second", False), ("second", True), ("second", True)]
    with PassageCache(cache.path) as again:
        assert again.get(KEY) == Answer(text="second")


ASKER = """
import asyncio, os, sys
from rewriter.cache import PassageCache
from rewriter.records import Answer
async def ask():
    os.write(1, b"asked\\n")
    await asyncio.sleep(float(sys.argv[3]))
    return Answer(text="answer")
async def main():
    with PassageCache(sys.argv[1]) as cache:
        answer, hit = await cache.once(sys.argv[2], ask)
        os.write(1, f"{answer.text} {hit}\\n".encode())
asyncio.run(main())
"""


def asker(cache: PassageCache, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ASKER, str(cache.path), KEY, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="open-file locks are Linux's own")


@linux_only
def test_two_processes_ask_once(cache: PassageCache) -> None:
    first = asker(cache, 1.5)
    assert first.stdout is not None and first.stdout.readline() == b"asked\n"
    second = asker(cache, 0)
    assert second.communicate()[0] == b"answer True\n"
    assert first.communicate()[0] == b"answer False\n"


@linux_only
def test_who_waits_for_a_process_that_is_killed_asks_itself(cache: PassageCache) -> None:
    first = asker(cache, 600)
    assert first.stdout is not None and first.stdout.readline() == b"asked\n"
    second = asker(cache, 0)
    assert second.stdout is not None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    first.kill()
    first.communicate()
    assert second.communicate()[0] == b"asked\nanswer False\n"


# --- memory ---


def test_what_another_process_corrects_is_seen_here(cache: PassageCache) -> None:
    cache.put(KEY, Answer(text="wrong"))
    assert cache.get(KEY) == Answer(text="wrong")
    with PassageCache(cache.path) as other:
        other.put(KEY, Answer(text="right"))
        time.sleep(0.15)
        assert cache.get(KEY) == Answer(text="right")
        other.delete(KEY)
        time.sleep(0.15)
        assert cache.get(KEY) is None


def test_memory_holds_no_more_than_it_may(tmp_path: Path) -> None:
    with PassageCache(tmp_path, memory=3) as cache:
        keys = fill(cache, 5)
        for key in keys:
            cache.get(key)
        assert list(cache._front._held) == keys[2:]
        cache.put(keys[4], Answer(text="x" * 20_000))
        assert cache.get(keys[4]) is not None
        assert keys[4] not in cache._front._held


# --- upkeep ---


def test_provenance_is_told(cache: PassageCache) -> None:
    answer = Answer(text="a", usage=Usage(calls=1, input=7, output=2), model="m-2025")
    before = time.time()
    cache.put(KEY, answer, about={"model": "m", "style": "clean", "prompt": "abc"})
    entry = cache.entry(KEY)
    assert entry is not None and entry.key == KEY and entry.answer == answer and not entry.pinned
    assert entry.about == {"model": "m", "style": "clean", "prompt": "abc"}
    assert before <= entry.when <= time.time()
    assert cache.entry(OTHER) is None
    assert [e.key for e in cache.entries()] == [KEY]


def test_a_bad_entry_is_corrected_and_pinned(cache: PassageCache) -> None:
    cache.put(KEY, Answer(text="bad", finish="length", usage=Usage(calls=1)), about={"style": "clean"})
    cache.get(KEY)
    assert cache.correct(KEY, "good") and not cache.correct(OTHER, "good")
    assert cache.get(KEY) == Answer(text="good", usage=Usage(calls=1))
    entry = cache.entry(KEY)
    assert entry is not None and entry.pinned and entry.about == {"style": "clean", "corrected": True}


def test_pinned_entries_stay(tmp_path: Path) -> None:
    with PassageCache(tmp_path, size_limit=4000) as cache:
        cache.put(KEY, Answer(text="kept"))
        assert cache.pin(KEY) and not cache.pin(OTHER)
        fill(cache, 30)
        cache.prune(max_bytes=0, older_than=0)
        assert KEY in cache and len(cache) == 1
        cache.put(KEY, Answer(text="still pinned after another put"))
        assert cache.clear() == 0 and cache.stats().pinned == 1
        cache.pin(KEY, False)
        assert cache.clear() == 1


def test_an_age_limit_makes_old_entries_misses_but_for_pinned_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PassageCache(tmp_path, max_age=2) as cache, PassageCache(tmp_path) as unlimited:
        cache.put(KEY, Answer(text="old"))
        cache.put(OTHER, Answer(text="pinned"))
        cache.pin(OTHER)
        assert cache.get(KEY) and cache.get(OTHER)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3 * 86400)
        assert cache.get(KEY) is None and KEY not in cache and cache.stats().expired == 1
        assert cache.get(OTHER) == Answer(text="pinned")
        assert unlimited.get(KEY) == Answer(text="old")
        cache.put(KEY, Answer(text="new"))
        assert cache.get(KEY) == Answer(text="new")


@pytest.mark.parametrize("said", ["many", "-1", "0", "inf", "nan"])
@pytest.mark.parametrize("variable", ["REWRITER_CACHE_SIZE", "REWRITER_CACHE_DAYS"])
def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, said: str, variable: str) -> None:
    monkeypatch.setenv(variable, said)
    with pytest.raises(CacheError, match=variable):
        open_cache()
    monkeypatch.setenv(variable, "1e6")
    with open_cache() as cache:
        assert (cache.size_limit or cache.max_age) == 1e6


def test_what_was_saved_is_told_over_runs_and_a_hit_writes_nothing(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        usage = Usage(calls=1, input=100, cached=10, output=50)
        cache.put(KEY, Answer(text="a", usage=usage), about={"model": "m", "style": "clean"})
        cache.get(KEY)
        cache.get(KEY)
        cache.get(OTHER)
        assert not (tmp_path / "tally.jsonl").exists()
    with PassageCache(tmp_path) as cache:
        cache.get(KEY)
        stats = cache.stats(lambda model, usage: usage.output / 100 if model == "m" else None)
        rows = {(s.tier, s.model, s.style): (s.hits, s.input, s.cached, s.output) for s in stats.saved}
        assert rows == {("disk", "m", "clean"): (2, 200, 20, 100), ("memory", "m", "clean"): (1, 100, 10, 50)}
        assert stats.saved_dollars == {"m": 1.5} and stats.misses_ever == 1
    assert stat.S_IMODE((tmp_path / "tally.jsonl").stat().st_mode) == 0o600


def test_the_tally_survives_torn_lines_and_is_added_up(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    tally.hit("disk", b'{"model": "m", "style": "s"}', Usage(input=1))
    tally.flush()
    file = tmp_path / "tally.jsonl"
    bad = [
        '{"misses": 1, "hi',
        "[]",
        '{"misses": 2, "hits": [["disk", "m"]]}',
        "\u00ff",
        '{"misses":1,"hits":[[1,2,3,[]]]}',
    ]
    file.write_text(file.read_text() + "\n".join(bad) + "\n")
    line = file.read_text().splitlines()[0] + "\n"
    with file.open("a") as out:
        out.write(line * 600)
    tally.misses = 5
    tally.flush()
    assert len(file.read_text().splitlines()) == 1
    saved, misses = Tally(tmp_path).saved()
    assert [(s.hits, s.input) for s in saved] == [(601, 601)] and misses == 5
    tally.clear()
    assert Tally(tmp_path).saved() == ([], 0)


def fill(cache: PassageCache, count: int) -> list[str]:
    keys = [f"{n:064x}" for n in range(count)]
    for n, key in enumerate(keys):
        cache.put(key, Answer(text=os.urandom(300).hex()), about={"model": f"m{n % 2}", "style": "clean"})
    return keys


def test_stats_count_what_is_there(cache: PassageCache) -> None:
    keys = fill(cache, 4)
    cache.get(keys[0])
    cache.get(OTHER)
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.damaged) == (4, 1, 1, 0)
    assert stats.models == {"m0": 2, "m1": 2} and stats.styles == {"clean": 4}
    assert stats.bytes > stats.payload > 4 * 300 and stats.oldest and stats.newest


def test_prune_by_size_removes_the_oldest(cache: PassageCache) -> None:
    keys = fill(cache, 10)
    each = cache.stats().payload // 10 + 32
    assert cache.prune(max_bytes=each * 4) in {6, 7}
    assert keys[9] in cache and keys[0] not in cache
    assert cache.prune(max_bytes=10**9) == 0


def test_prune_by_age(cache: PassageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(KEY, Answer(text="new"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3 * 86400)
    cache.put(OTHER, Answer(text="old"))
    monkeypatch.undo()
    assert cache.prune(older_than=2) == 1
    assert KEY in cache and OTHER not in cache


def test_nothing_is_evicted_unless_asked_for(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "all") as free, PassageCache(tmp_path / "few", size_limit=4000) as limited:
        keys = fill(free, 30)
        fill(limited, 30)
        assert len(free) == 30
        assert 1 <= len(limited) < 12 and keys[-1] in limited


@pytest.mark.parametrize("limit", [{"max_bytes": -1}, {"older_than": -0.5}, {"max_bytes": 10**9, "older_than": -1}])
def test_a_limit_below_nothing_removes_nothing(cache: PassageCache, limit: dict[str, float]) -> None:
    fill(cache, 2)
    with pytest.raises(CacheError, match="0 or more"):
        cache.prune(**limit)  # type: ignore[arg-type]
    assert len(cache) == 2


def test_clear(cache: PassageCache) -> None:
    fill(cache, 5)
    assert cache.clear() == 5
    assert len(cache) == 0


# --- moving ---


def test_export_and_import_merge_two_caches(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with PassageCache(tmp_path / "a") as a, PassageCache(tmp_path / "b") as b:
        a.put(KEY, Answer(text="from a"), about={"style": "clean"})
        a.put(OTHER, Answer(text="other", usage=Usage(calls=1, input=5)))
        b.put(KEY, Answer(text="b had it"))
        assert a.export(file) == 2
        assert b.import_(file) == 1
        assert b.get(KEY) == Answer(text="b had it")
        assert b.get(OTHER) == a.get(OTHER)
        assert b.import_(file) == 0 and b.notices == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*part"))


def test_import_says_what_it_left_out(cache: PassageCache, tmp_path: Path) -> None:
    cache.put(KEY, Answer(text="a"))
    file = tmp_path / "e.jsonl"
    cache.export(file)
    line = json.loads(file.read_text().splitlines()[1])
    bad = [
        "no json",
        "[]",
        json.dumps({**line, "key": "short"}),
        json.dumps({**line, "answer": {"text": 5}}),
        json.dumps({k: v for k, v in line.items() if k != "when"}),
        json.dumps({**line, "about": 7}),
    ]
    file.write_text("\n".join([file.read_text().rstrip(), *bad]) + "\n")
    cache.clear()
    assert cache.import_(file) == 1
    assert "6 lines" in cache.notices[0]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\xfe", b'{"format": "x"}\n'])
def test_a_file_that_is_no_export_is_refused(cache: PassageCache, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "e.jsonl"
    file.write_bytes(content)
    with pytest.raises(CacheError, match="not an exported cache"):
        cache.import_(file)


def test_an_export_never_overwrites_another_kind_of_file(cache: PassageCache, tmp_path: Path) -> None:
    cache.put(KEY, Answer(text="a"))
    notes, export = tmp_path / "notes.txt", tmp_path / "e.jsonl"
    notes.write_text("mine\n")
    with pytest.raises(CacheError, match="no exported cache"):
        cache.export(notes)
    assert notes.read_text() == "mine\n"
    cache.export(export)
    cache.put(OTHER, Answer(text="b"))
    assert cache.export(export) == 2


def test_a_missing_file_is_one_sentence(cache: PassageCache, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="No such file"):
        cache.import_(tmp_path / "none")
    with pytest.raises(CacheError, match="No such file"):
        cache.export(tmp_path / "none" / "x")
