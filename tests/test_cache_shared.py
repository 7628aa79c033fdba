"""The cache shared by several machines: a real redis-server, started here on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from rewriter.cache.shared import CHANGED, PREFIX, SharedCache

from rewriter.cache import PassageCache, open_cache, shared
from rewriter.cache import seal as sealing
from rewriter.errors import CacheError
from rewriter.records import Answer, Usage

KEY, OTHER = "ab" * 32, "cd" * 32
RAW = bytes.fromhex(KEY)
ANSWER = Answer(text="答案", usage=Usage(calls=1, input=5, output=2), model="m")
Start = Callable[..., Any]


class Server:
    """A redis-server process on a free port."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.port = port
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        self.url = f"redis://127.0.0.1:{port}/0"
        self.wait()

    def wait(self) -> None:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed; .ci/run installs it")
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    running: list[Server] = []

    def begin(port: int | None = None, *options: str) -> Server:
        running.append(Server(tmp_path, port or free_port(), *options))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


@pytest.fixture
def server(start: Start) -> Server:
    return start()


@pytest.fixture
def machines(server: Server, tmp_path: Path) -> Iterator[tuple[SharedCache, SharedCache]]:
    with SharedCache(tmp_path / "a", server.url) as a, SharedCache(tmp_path / "b", server.url) as b:
        yield a, b


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others corrected is looked at with every read that goes below memory."""
    monkeypatch.setattr(shared, "LOOK_EVERY", 0.0)


def test_what_one_machine_asked_the_other_has(machines: tuple[SharedCache, SharedCache]) -> None:
    a, b = machines
    assert b.get(KEY) is None
    a.put(KEY, ANSWER, about={"model": "m", "style": "clean"})
    assert KEY in b and b.get(KEY) == ANSWER
    entry = b.entry(KEY)
    assert entry is not None and entry.about == {"model": "m", "style": "clean"}
    assert {s.tier for s in b.stats().saved} <= {"shared", "disk"} and len(b) == 1
    assert a.notices == b.notices == []


async def test_once_asks_on_one_machine_only(machines: tuple[SharedCache, SharedCache]) -> None:
    calls = []

    async def ask() -> Answer:
        calls.append(1)
        return ANSWER

    a, b = machines
    assert await a.once(KEY, ask) == (ANSWER, False)
    assert await b.once(KEY, ask) == (ANSWER, True)
    assert len(calls) == 1


def test_the_local_cache_answers_first(server: Server, machines: tuple[SharedCache, SharedCache]) -> None:
    a, b = machines
    a.put(KEY, ANSWER)
    assert b.get(KEY) == ANSWER
    server.stop()
    with PassageCache(b.path) as local:
        assert local.get(KEY) == ANSWER
    assert b.get(KEY) == ANSWER


def test_what_is_being_stored_when_a_machine_leaves_reaches_the_others(
    machines: tuple[SharedCache, SharedCache],
) -> None:
    a, b = machines
    keys = [f"{n:064x}" for n in range(20)]

    async def leave() -> None:
        tasks = [asyncio.ensure_future(a.aput(key, ANSWER)) for key in keys]
        await asyncio.sleep(0)
        assert not all(task.done() for task in tasks)

    asyncio.run(leave())
    a.close()
    assert a.notices == []
    assert [b.get(key) for key in keys] == [ANSWER] * 20


@pytest.mark.usefixtures("at_once")
def test_a_correction_and_a_removal_reach_the_others(machines: tuple[SharedCache, SharedCache]) -> None:
    a, b = machines
    a.put(KEY, ANSWER)
    a.put(OTHER, ANSWER)
    assert b.get(KEY) == b.get(OTHER) == ANSWER
    a.put(KEY, Answer(text="better"))
    a.delete(OTHER)
    time.sleep(0.15)  # what b holds in memory
    assert b.get("ef" * 32) is None  # any look below memory
    assert b.get(KEY) == Answer(text="better") and b.get(OTHER) is None


@pytest.mark.usefixtures("at_once")
def test_a_machine_that_was_away_hears_of_it_later(server: Server, tmp_path: Path) -> None:
    with SharedCache(tmp_path / "a", server.url) as a:
        a.put(KEY, ANSWER)
        with SharedCache(tmp_path / "b", server.url) as b:
            assert b.get(KEY) == ANSWER
        a.put(KEY, Answer(text="better"))
    with SharedCache(tmp_path / "b", server.url) as b:
        assert b.get(KEY) == Answer(text="better")
    seen = (tmp_path / "b" / "shared-seen").read_text()
    with SharedCache(tmp_path / "b", server.url) as b:
        b.get(KEY)
    assert (tmp_path / "b" / "shared-seen").read_text() == seen


BAD = [
    b"garbage",
    b"",
    sealing.seal(b"x" * 32, b"{}"),
    sealing.seal(RAW, b"no payload"),
    sealing.seal(RAW, b"y" * 99)[:-1],
]


@pytest.mark.parametrize("planted", BAD)
def test_a_damaged_or_foreign_value_is_a_miss_and_is_put_right(
    server: Server, machines: tuple[SharedCache, SharedCache], planted: bytes
) -> None:
    a, b = machines
    with redis.Redis(port=server.port) as client:
        client.set(PREFIX + RAW, planted)
    assert a.get(KEY) is None and a.stats().damaged == 1 and len(a) == 0
    a.put(KEY, ANSWER)
    assert b.get(KEY) == ANSWER


def test_a_value_of_another_type_costs_a_notice(server: Server, machines: tuple[SharedCache, SharedCache]) -> None:
    with redis.Redis(port=server.port) as client:
        client.lpush(PREFIX + RAW, "x")
    a, _ = machines
    assert a.get(KEY) is None and "could not be used" in a.notices[0]
    a.put(KEY, ANSWER)
    assert a.get(KEY) == ANSWER and len(a.notices) == 1


def test_a_newer_versions_entry_stays(server: Server, machines: tuple[SharedCache, SharedCache]) -> None:
    newer = sealing.MAGIC + bytes([sealing.VERSION + 1]) + b"whatever it holds"
    a, _ = machines
    with redis.Redis(port=server.port) as client:
        client.set(PREFIX + RAW, newer)
        assert a.get(KEY) is None
        a.put(KEY, ANSWER)
        assert client.get(PREFIX + RAW) == newer
    assert a.get(KEY) == ANSWER


def test_a_server_that_goes_and_comes_back(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    with SharedCache(tmp_path / "a", server.url) as a:
        a.put(KEY, ANSWER)
        server.stop()
        a.put(OTHER, ANSWER)
        assert a.get(OTHER) == ANSWER and a.get("ef" * 32) is None
        assert len(a.notices) == 1 and f"127.0.0.1:{server.port}" in a.notices[0]
        start(server.port)
        monkeypatch.setattr(a, "_paused", 0.0)
        a.put("ef" * 32, ANSWER)
        with SharedCache(tmp_path / "b", server.url) as b:
            assert b.get("ef" * 32) == ANSWER and b.notices == []


def test_no_server_at_all_costs_a_notice(tmp_path: Path) -> None:
    with SharedCache(tmp_path, f"redis://127.0.0.1:{free_port()}/0") as cache:
        cache.put(KEY, ANSWER)
        assert cache.get(KEY) == ANSWER and len(cache.notices) == 1


def test_a_server_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        with SharedCache(tmp_path, f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as cache:
            for n in range(50):
                assert cache.get(f"{n:064x}") is None
            cache.put(KEY, ANSWER)
        assert time.monotonic() - begin < 10


async def test_a_server_that_never_answers_leaves_the_event_loop_free(tmp_path: Path) -> None:
    looks: list[float] = []

    async def look() -> None:
        while True:
            looks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def ask() -> Answer:
        return ANSWER

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with SharedCache(tmp_path, f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as cache:
            looking = asyncio.create_task(look())
            await asyncio.sleep(0)
            assert await cache.once(KEY, ask) == (ANSWER, False)
            assert not await cache.aholds(OTHER) and await cache.aholds(KEY)
            looking.cancel()
    assert looks[-1] - looks[0] >= shared.TIMEOUT * 0.9  # the server was waited for
    assert max(b - a for a, b in pairwise(looks)) < shared.TIMEOUT / 2


async def test_what_another_machine_has_is_written_here_beside_the_event_loop(
    machines: tuple[SharedCache, SharedCache],
) -> None:
    one, two = machines
    one.put(KEY, ANSWER)
    written: list[bool] = []
    keep = two._keep

    def watched(entry: Any) -> None:
        written.append(threading.current_thread() is threading.main_thread())
        keep(entry)

    two._keep = watched  # type: ignore[method-assign]
    assert await two.aget(KEY) == ANSWER
    assert written == [False]
    assert two._is_near(KEY)


def test_credentials_are_told_to_nobody(start: Start, tmp_path: Path) -> None:
    server = start(None, "--requirepass", "right-secret")
    url = f"redis://user:wrong-secret@127.0.0.1:{server.port}/0"
    with SharedCache(tmp_path, url) as cache:
        cache.put(KEY, ANSWER)
        assert "could not be used" in cache.notices[0] and "secret" not in " ".join(cache.notices)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"secret" not in file.read_bytes()
    with SharedCache(tmp_path, f"redis://:right-secret@127.0.0.1:{server.port}/0") as cache:
        cache.put(KEY, ANSWER)
        assert cache.notices == []
    with pytest.raises(CacheError, match="address") as caught:
        SharedCache(tmp_path, "http://user:wrong-secret@example.com")
    assert "secret" not in str(caught.value)


def test_the_list_of_changes_is_kept_short(server: Server, machines: tuple[SharedCache, SharedCache]) -> None:
    a, _ = machines
    with redis.Redis(port=server.port) as client:
        client.zadd(CHANGED, {b"old": 1.0})
        a.put(KEY, ANSWER)
        assert client.zcard(CHANGED) == 1  # nothing was corrected
        a.put(KEY, Answer(text="better"))
        assert client.zrange(CHANGED, 0, -1) == [RAW]


def test_it_is_chosen_by_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWRITER_CACHE_URL", server.url.replace("redis:", "valkey:"))
    with open_cache(tmp_path / "a") as a, open_cache(tmp_path / "b") as b:
        a.put(KEY, ANSWER)
        assert b.get(KEY) == ANSWER
