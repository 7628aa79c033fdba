"""Neighbours by meaning: a real Milvus Lite, as a file and as a server, and the real embedding."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rewriter.cache.adding import Row
from rewriter.cache.milvus import OPEN, SEARCH
from rewriter.cache.vectors import Vectors, scope_number

from faulty_server import FaultyServer
from rewriter import check
from rewriter.cache import PassageCache, open_cache, scope_of, shared_environment
from rewriter.cache import vectors as vectors_module
from rewriter.cli import main
from rewriter.errors import CacheError
from rewriter.records import Answer, Usage
from talks import talk

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "cases" / "cache_similar.json").read_text(encoding="utf-8"))
BASES = CASES["bases"].values()
SCOPE, ELSEWHERE = (scope_of("https://api.example.com/v1", model, {}, "prompt-hash") for model in ("m", "n"))
USAGE = Usage(calls=1, input=300, output=100)
# Too short to share six characters in a row: no neighbour by letters.
SOURCE, REWRITE = "他三点钟来开会", "他三点钟来开会。"
EDITED, CARRIED = "他五点钟来开会", "他五点钟来开会。"


def letters(texts: list[str]) -> list[list[float]]:
    """Vectors of 64 numbers: which characters stand in a text. Quick, and near for texts that are nearly the same."""
    found = []
    for text in texts:
        vector = [0.001] * 64
        for c in text:
            vector[ord(c) % 64] += 1.0
        size = sum(x * x for x in vector) ** 0.5
        found.append([x / size for x in vector])
    return found


def by_letters(address: Path | str) -> Vectors:
    return Vectors(str(address), embed=letters, embedding="letters")


def guard(source: str, rewrite: str) -> bool:
    return check(source, rewrite, style="clean").accepted


def remember(cache: PassageCache, source: str = SOURCE, rewrite: str = REWRITE, scope: str = SCOPE) -> None:
    cache.remember(scope, source, rewrite, Answer(text=rewrite, usage=USAGE, model="m"), about={"request": "ab" * 32})


def settled(cache: PassageCache, count: int) -> None:
    """Wait until so many passages are in the index of meanings."""
    assert cache._vectors is not None
    for _ in range(400):
        if cache._vectors.count() == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{cache._vectors.count()} passages, not {count}; {cache.notices}")


async def served(cache: PassageCache, source: str = EDITED, scope: str = SCOPE, **options: Any) -> str | None:
    found = await cache.areplay(scope, source, guard, drops_hesitations=True, **options)
    return found.rewrite if found else None


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PassageCache]:
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "meanings.db")) as store:
        yield store


class Milvus:
    """A Milvus server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, 0
        self.start()

    def start(self) -> None:
        """Begin, or begin again at the same port."""
        code = (
            "import sys, time\nfrom milvus_lite.adapter.grpc.server import start_server_in_thread\n"
            "begun = start_server_in_thread(data_dir=sys.argv[1], host='127.0.0.1', port=int(sys.argv[2]))\n"
            "print(begun[2], flush=True)\ntime.sleep(600)"
        )
        command = [sys.executable, "-c", code, str(self._folder), str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Within, it is there and does not answer."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[Milvus]:
    running = Milvus(tmp_path / "server.db")
    yield running
    running.stop()


@pytest.fixture
def server(milvus: Milvus) -> str:
    """A server's address."""
    return milvus.address


def tried_again(index: Vectors) -> None:
    """As if the pause were over."""
    index._paused_until = 0.0


def planted(cache: PassageCache, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Vectors:
    """A cache's index, its one row changed by hand."""
    remember(cache)
    settled(cache, 1)
    index = cache._vectors
    assert index is not None and index._passages is not None
    client, collection = index._passages._client, index._passages._name
    (row,) = client.query(collection, filter="place >= 0", output_fields=["*"])
    client.upsert(collection, data=[change(row)])
    return index


@pytest.mark.slow
async def test_a_short_passage_is_found_by_meaning_and_not_by_letters(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "plain") as plain:
        remember(plain)
        assert await served(plain) is None
    with PassageCache(tmp_path / "c", vectors=str(tmp_path / "meanings.db")) as cache:  # the real embedding
        for number, base in enumerate(BASES):
            remember(cache, f"{number}{base['source']}", f"{number}{base['rewrite']}")
        remember(cache)
    with PassageCache(tmp_path / "c", vectors=str(tmp_path / "meanings.db")) as cache:  # closing has added them all
        assert cache.stats().by_meaning == 1 + len(CASES["bases"])
        assert await served(cache) == CARRIED
        assert cache.would_replay(SCOPE, EDITED, guard, drops_hesitations=True)
        assert cache.notices == []


async def test_the_guard_has_the_last_word(cache: PassageCache) -> None:
    remember(cache)
    settled(cache, 1)
    assert await cache.areplay(SCOPE, EDITED, lambda s, r: False, drops_hesitations=True) is None
    found = await cache.areplay(SCOPE, EDITED, guard, drops_hesitations=True)
    assert found is not None and (found.rewrite, found.source) == (CARRIED, SOURCE)


async def test_no_near_miss_is_served_a_wrong_answer(cache: PassageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """By meaning alone: what shares letters is not looked at, and the judge says yes to everything."""
    for base in BASES:
        remember(cache, base["source"], base["rewrite"])
    settled(cache, len(CASES["bases"]))
    monkeypatch.setattr("rewriter.cache.similar.Similar.candidates", lambda *_: [])
    right = 0
    for name, kind, old, new, *spelt in CASES["near"]:
        base = CASES["bases"][name]
        found = await cache.areplay(SCOPE, base["source"].replace(old, new), lambda s, r: True, drops_hesitations=True)
        if found is not None:
            expected = base["rewrite"].replace(*(spelt or (old, new)))
            assert "".join(found.rewrite.split()) == "".join(expected.split()), (name, kind, old, new)
            right += 1
    assert right >= 150


async def test_what_is_only_remotely_alike_is_not_served(cache: PassageCache) -> None:
    """Any passage is the nearest in meaning of something; a replay of it would be the source as it was said."""
    remember(cache)
    settled(cache, 1)
    assert cache._vectors is not None and cache._vectors.near(SCOPE, "市场部下周搬家")
    assert await served(cache, "市场部下周搬家") is None


async def test_another_scope_and_what_came_later_are_not_proposed(cache: PassageCache) -> None:
    began = time.time()
    remember(cache)
    settled(cache, 1)
    assert await served(cache, scope=ELSEWHERE) is None
    assert await served(cache, before=began) is None
    assert await served(cache, before=time.time()) == CARRIED


async def test_two_machines_share_what_their_models_wrote(server: str, tmp_path: Path) -> None:
    with (
        PassageCache(tmp_path / "one", vectors=by_letters(server)) as one,
        PassageCache(tmp_path / "two", vectors=by_letters(server)) as two,
    ):
        remember(one)
        settled(two, 1)
        assert await served(two) == CARRIED
        one.prune(max_bytes=0)  # a machine's own limits are no other machine's
        assert len(one.similar) == 0 and await served(two) == CARRIED
        remember(one)
        one.put("ab" * 32, Answer(text=REWRITE, usage=USAGE, model="m"))
        assert one.correct("ab" * 32, "别的话。")  # what was wrong is no longer replayed anywhere
        settled(two, 0)
        assert await served(two) is None and one.notices == two.notices == []


async def test_what_is_removed_before_it_was_added_is_not_added(tmp_path: Path) -> None:
    def slow(texts: list[str]) -> list[list[float]]:
        time.sleep(0.2)
        return letters(texts)

    index = Vectors(str(tmp_path / "meanings.db"), embed=slow, embedding="slow")
    index.add(Row(n, SCOPE, f"第{n}段", 1.0, b"x") for n in range(40))
    index.drop(list(range(0, 40, 2)))
    index.add([Row(100, SCOPE, "后来的", 1.0, b"x")])
    index.close()
    assert index.count() == 21 and index.notices == []
    index.add(Row(n, SCOPE, f"第{n}段", 1.0, b"x") for n in range(40))
    index.clear()
    index.close()
    assert index.count() == 0 and index.notices == []


@pytest.mark.parametrize("way", ["clear", "prune", "forget"])
async def test_what_is_removed_is_removed_here_too(cache: PassageCache, way: str) -> None:
    cache.put("ab" * 32, Answer(text=REWRITE, usage=USAGE, model="m"))
    remember(cache)
    settled(cache, 1)
    match way:
        case "clear":
            cache.clear()
        case "prune":
            cache.prune(max_bytes=0)
        case _:
            cache.delete("ab" * 32)
    settled(cache, 0)
    assert await served(cache) is None
    remember(cache)  # and it goes on
    settled(cache, 1)
    assert await served(cache) == CARRIED


PLANTED = {
    "no passage": lambda sealed: base64.b64encode(b"no passage").decode(),
    "nothing": lambda sealed: "",
    "changed": lambda sealed: base64.b64encode(base64.b64decode(sealed)[:-3] + b"abc").decode(),
    "no base64": lambda sealed: "别人的行",
}


@pytest.mark.parametrize("what", PLANTED)
async def test_a_planted_row_is_a_miss(cache: PassageCache, what: str) -> None:

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "sealed": PLANTED[what](row["sealed"])}

    index = planted(cache, change)
    assert len(index.near(SCOPE, EDITED)) == 1  # it is found, and refused
    assert await served(cache) is None and cache.notices == []


async def test_a_passage_under_another_scopes_number_is_a_miss(cache: PassageCache) -> None:
    index = planted(cache, lambda row: {**row, "scope": scope_number(ELSEWHERE)})
    assert index.near(ELSEWHERE, EDITED) and await served(cache, scope=ELSEWHERE) is None


async def test_a_passage_in_another_ones_row_is_a_miss(cache: PassageCache) -> None:
    places: list[int] = []

    def change(row: dict[str, Any]) -> dict[str, Any]:
        places.append(row["place"])
        return {**row, "place": row["place"] + 1}

    index = planted(cache, change)
    assert await served(cache) == CARRIED
    index.drop(places)
    assert [place for place, _ in index.near(SCOPE, EDITED)] == [places[0] + 1] and await served(cache) is None


async def test_no_server_costs_one_notice_and_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with PassageCache(tmp_path, vectors=by_letters("http://user:secret@127.0.0.1:9")) as cache:
        for number in range(50):
            remember(cache, f"{SOURCE}{number}")
            assert await served(cache, f"{EDITED}而且{number}人") is None
        assert cache.stats().by_meaning is None
    assert time.monotonic() - began < 2 * OPEN
    assert len(cache.notices) == 1 and "127.0.0.1:9" in cache.notices[0]
    assert "secret" not in cache.notices[0]


async def test_a_file_that_another_process_uses_costs_one_notice(tmp_path: Path, server: str) -> None:
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "server.db")) as cache:
        remember(cache)
        assert await served(cache) is None
    assert len(cache.notices) == 1 and "server.db is in use by another process" in cache.notices[0]


async def test_the_event_loop_is_free_while_a_passage_is_embedded(tmp_path: Path) -> None:
    def slow(texts: list[str]) -> list[list[float]]:
        time.sleep(0.3)
        return letters(texts)

    looks: list[float] = []

    async def look() -> None:
        while True:
            looks.append(time.monotonic())
            await asyncio.sleep(0.01)

    index = Vectors(str(tmp_path / "meanings.db"), embed=slow, embedding="slow")
    with PassageCache(tmp_path / "c", vectors=index) as cache:
        remember(cache)
        settled(cache, 1)
        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        assert await served(cache) == CARRIED
        looking.cancel()
    assert looks[-1] - looks[0] > 0.25 and max(b - a for a, b in pairwise(looks)) < 0.2


@pytest.mark.slow
async def test_the_event_loop_is_free_while_the_real_embedding_works(tmp_path: Path) -> None:
    looks: list[float] = []

    async def look() -> None:
        while True:
            looks.append(time.monotonic())
            await asyncio.sleep(0.01)

    with PassageCache(tmp_path / "c", vectors=str(tmp_path / "meanings.db")) as cache:
        remember(cache)
        settled(cache, 1)
        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        long = "".join(base["source"] for base in BASES)[:1500]
        assert await asyncio.gather(*(served(cache, f"{n}{long}") for n in range(3))) == [None] * 3
        looking.cancel()
    assert looks[-1] - looks[0] > 0.1 and max(b - a for a, b in pairwise(looks)) < 0.3


async def test_look_ups_leave_the_loops_own_threads_to_those_who_store_answers(tmp_path: Path) -> None:
    def slow(texts: list[str]) -> list[list[float]]:
        time.sleep(0.1)
        return letters(texts)

    index = Vectors(str(tmp_path / "meanings.db"), embed=slow, embedding="slow")
    with PassageCache(tmp_path / "c", vectors=index) as cache:
        remember(cache)
        settled(cache, 1)
        looking = [asyncio.create_task(served(cache, f"{EDITED}{n}")) for n in range(30)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await asyncio.to_thread(time.time)
        assert time.monotonic() - began < 0.5 and not looking[-1].done()
        await asyncio.gather(*looking)


def test_a_passage_is_embedded_once(tmp_path: Path) -> None:
    embedded: list[str] = []

    def counting(texts: list[str]) -> list[list[float]]:
        embedded.extend(texts)
        return letters(texts)

    index = Vectors(str(tmp_path / "meanings.db"), embed=counting, embedding="letters")
    assert index.near(SCOPE, "没有") == []  # nothing is there: no need to
    index.add([Row(1, SCOPE, SOURCE, 1.0, b"one")])
    index.close()
    assert index.near(ELSEWHERE, "没有") == index.near(SCOPE, "没有", 0.5) == []
    assert index.near(SCOPE, EDITED) == [(1, b"one")]
    index.add([Row(2, SCOPE, EDITED, 1.0, b"two")])
    index.close()
    assert index.near(SCOPE, EDITED) == [(2, b"two"), (1, b"one")]
    index.close()
    assert embedded == ["1", SOURCE, EDITED, EDITED] and index.notices == []


async def test_looking_makes_nothing(tmp_path: Path, server: str) -> None:
    for address in (tmp_path / "meanings.db", server):
        with PassageCache(tmp_path / "c", vectors=by_letters(address)) as cache:
            assert not cache.would_replay(SCOPE, EDITED, guard, drops_hesitations=True)
            assert cache.stats().by_meaning == 0 and cache.notices == []
            assert not cache.has_passages() and not (tmp_path / "meanings.db").exists()
            assert cache._vectors is not None
            assert cache._vectors._passages is None or not cache._vectors._passages.is_there()


# --- trouble ---


async def test_a_server_that_hangs_holds_nobody_up_and_is_used_again(tmp_path: Path, milvus: Milvus) -> None:
    with PassageCache(tmp_path / "c", vectors=by_letters(milvus.address)) as cache:
        index = cache._vectors
        assert index is not None
        remember(cache)
        settled(cache, 1)
        with milvus.hanging():
            began = time.monotonic()
            assert await served(cache) is None  # a search
            assert time.monotonic() - began < SEARCH + 1
            tried_again(index)
            began = time.monotonic()
            found = await asyncio.gather(*(served(cache, f"{EDITED}{n}") for n in range(20)))  # connecting
            assert found == [None] * 20
            assert time.monotonic() - began < OPEN + 2
        tried_again(index)
        assert await served(cache) == CARRIED
        milvus.stop()
        tried_again(index)
        assert await served(cache) is None
        milvus.start()
        for _ in range(100):  # gRPC waits a second before it tries the same port again
            tried_again(index)
            if await served(cache) == CARRIED:
                break
            await asyncio.sleep(0.1)
        assert await served(cache) == CARRIED
    assert len(cache.notices) == 1


def test_a_server_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        index = by_letters(f"http://127.0.0.1:{silent.getsockname()[1]}")
        threads = [threading.Thread(target=index.near, args=(SCOPE, SOURCE)) for _ in range(8)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        index.add([Row(1, SCOPE, SOURCE, 1.0, b"x")])
        for thread in threads:
            thread.join()
        index.close()
    assert time.monotonic() - began < OPEN + 2 and len(index.notices) == 1


def test_what_cannot_be_removed_is_said(tmp_path: Path, milvus: Milvus) -> None:
    with PassageCache(tmp_path / "c", vectors=by_letters(milvus.address)) as cache:
        cache.put("ab" * 32, Answer(text=REWRITE, usage=USAGE, model="m"))
        remember(cache)
        settled(cache, 1)
        milvus.stop()
        assert cache.delete("ab" * 32)
    assert any("still holds what was removed" in notice for notice in cache.notices) and len(cache.notices) == 2


def test_what_comes_while_a_server_is_away_is_added_when_it_is_back(
    tmp_path: Path, milvus: Milvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "PAUSE", 1.5)
    with PassageCache(tmp_path / "c", vectors=by_letters(milvus.address)) as cache:
        remember(cache)
        settled(cache, 1)
        milvus.stop()
        remember(cache, "市场部下周搬家", "市场部下周搬家。")
        while not cache.notices:
            time.sleep(0.01)
        remember(cache, "财务部下周搬家", "财务部下周搬家。")
        milvus.start()
        settled(cache, 3)


def test_a_batch_that_is_refused_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "PAUSE", 0.05)

    def picky(texts: list[str]) -> list[list[float]]:
        if "坏" in "".join(texts):
            raise ValueError
        return letters(texts)

    index = Vectors(str(tmp_path / "meanings.db"), embed=picky, embedding="letters")
    index.add(Row(n, SCOPE, "坏" if n == 3 else "好", 1.0, b"x") for n in range(40))
    for _ in range(400):
        if index.count() == 24:
            break
        time.sleep(0.02)
    index.close()
    assert index.count() == 24  # all but the batch of 16
    index.close()


def run_apart(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    head = "import os, sys, time\nfrom rewriter.cache.vectors import Vectors\nfrom rewriter.cache.adding import Row\n"
    root = str(Path(__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-c", head + code, *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": root},
    )


EMBED = "embed = lambda texts: [[float(len(t)), 1.0] for t in texts]\n"


def test_nothing_is_written_to_the_terminal_and_no_settings_are_taken_in(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAKEN_FROM_DOTENV=1\n", encoding="utf-8")
    code = EMBED + (
        "for address in ('http://127.0.0.1:9', 'http://127.0.0.1:1', 'own.db'):\n"
        "    index = Vectors(address, embed=embed, embedding='len')\n"
        "    index.add([Row(1, 'ab' * 32, 'x', 1.0, b'x')])\n"
        "    index.close()\n"
        "    print(len(index.notices))\n"
        "assert 'TAKEN_FROM_DOTENV' not in os.environ\n"
    )
    done = run_apart(code, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["1", "1", "0"], "", 0)


def test_what_is_not_closed_is_there_all_the_same(tmp_path: Path) -> None:
    code = EMBED + (
        "index = Vectors('own.db', embed=embed, embedding='len')\n"
        "index.add(Row(n, 'ab' * 32, f'{n}', 1.0, b'x') for n in range(40))\n"
        "while index.count() != 40: time.sleep(0.01)\n"
    )
    done = run_apart(code, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    index = Vectors(str(tmp_path / "own.db"), embed=lambda t: [[1.0, 1.0]] * len(t), embedding="len")
    assert index.count() == 40
    index.close()


def test_a_kill_loses_only_what_waits(tmp_path: Path) -> None:
    code = (
        "def embed(texts):\n    time.sleep(0.2)\n    return [[1.0, 1.0]] * len(texts)\n"
        "index = Vectors('own.db', embed=embed, embedding='len')\n"
        "index.add(Row(n, 'ab' * 32, f'{n}', 1.0, b'x') for n in range(1000))\n"
        "while index.count() < 40: time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert run_apart(code, cwd=tmp_path).returncode == -9
    index = Vectors(str(tmp_path / "own.db"), embed=lambda t: [[1.0, 1.0]] * len(t), embedding="len")
    count = index.count()
    assert count is not None and 40 <= count < 1000
    index.add([Row(5000, SCOPE, "x", 1.0, b"x")])
    index.close()
    assert index.count() == count + 1 and index.notices == []
    index.close()


def listening() -> set[str]:
    """Ports that this process listens on."""
    own = {str(p.readlink()) for p in Path("/proc/self/fd").iterdir() if p.is_symlink()}
    rows = [line.split() for file in ("tcp", "tcp6") for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process listens on")
def test_a_file_is_the_owners_only(cache: PassageCache, tmp_path: Path) -> None:
    before = listening()
    remember(cache)
    settled(cache, 1)
    assert stat.S_IMODE((tmp_path / "meanings.db").stat().st_mode) == 0o700
    assert listening() == before
    with socket.socket() as probe:  # as a check of the check
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        assert len(listening() - before) == 1


def test_a_file_is_given_up_when_it_is_closed(tmp_path: Path) -> None:
    one, two = by_letters(tmp_path / "meanings.db"), by_letters(tmp_path / "meanings.db")
    one.add([Row(1, SCOPE, SOURCE, 1.0, b"x")])
    one.close()
    two.add([Row(2, SCOPE, SOURCE, 1.0, b"x")])
    while two.count() != 2:
        time.sleep(0.01)
    assert one.count() == 2  # both at once, in one process
    two.close()
    assert one.count() == 2 and one.notices == two.notices == []
    code = "import json\nindex = Vectors('meanings.db', embed=lambda t: [[0.0] * 64] * len(t), embedding='letters')\n"
    code += "print(json.dumps([index.count(), index.notices]))\n"
    count, (notice,) = json.loads(run_apart(code, cwd=tmp_path).stdout)
    assert count is None and "in use by another process" in notice
    one.close()
    assert json.loads(run_apart(code, cwd=tmp_path).stdout) == [2, []]


# --- upkeep ---


def test_an_import_adds_all_of_it_to_the_index_too(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "plain") as plain:
        for number in range(40):
            remember(plain, f"{SOURCE}{number}", f"{REWRITE}{number}")
        plain.export(tmp_path / "export.jsonl")
        plain.import_(tmp_path / "export.jsonl")
    for folder in ("new", "plain"):  # one that was there before the index was, as well
        with PassageCache(tmp_path / folder, vectors=by_letters(tmp_path / f"{folder}.db")) as cache:
            cache.import_(tmp_path / "export.jsonl")
            assert cache.stats().by_meaning == 40 == cache.stats().passages


def test_what_is_too_large_is_left_out(tmp_path: Path) -> None:
    index = by_letters(tmp_path / "meanings.db")
    sizes = (vectors_module.LONGEST_SEALED, vectors_module.LONGEST_SEALED + 1)
    index.add(Row(n, SCOPE, "x", 1.0, b"x" * size) for n, size in enumerate(sizes))
    index.close()
    assert [len(sealed) for _, sealed in index.near(SCOPE, "x")] == [sizes[0]]
    index.close()


def test_clearing_removes_what_the_index_alone_still_has(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "meanings.db")) as cache:
        remember(cache)
    (tmp_path / "c" / "similar.db").unlink()
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "meanings.db")) as cache:
        assert cache.stats().by_meaning == 1
        cache.clear()
        assert cache.stats().by_meaning == 0


def test_a_forked_child_goes_without_it(tmp_path: Path) -> None:
    code = EMBED + (
        "index = Vectors('own.db', embed=embed, embedding='len')\n"
        "index.add([Row(1, 'ab' * 32, 'x', 1.0, b'x')])\n"
        "while index.count() != 1: time.sleep(0.01)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    index.add([Row(2, 'ab' * 32, 'x', 1.0, b'x')])\n"
        "    index.close()\n"
        "    os._exit(0 if index.near('ab' * 32, 'x') == [] and index.count() is None else 1)\n"
        "print(os.waitpid(child, 0)[1], index.count())\n"
    )
    assert run_apart(code, cwd=tmp_path).stdout == "0 1\n"


def test_closing_waits_for_what_was_given_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(texts: list[str]) -> list[list[float]]:
        time.sleep(0.2 if len(texts) > 1 else 0)
        return letters(texts)

    rows = [Row(n, SCOPE, f"第{n}段", 1.0, b"x") for n in range(60)]
    index = Vectors(str(tmp_path / "meanings.db"), embed=slow, embedding="slow")
    index.add(rows)
    index.close()
    assert index.count() == 60 and index.notices == []
    monkeypatch.setattr(vectors_module, "CLOSE", 0.1)
    index.add(rows)
    index.close()
    assert len(index.notices) == 1 and "not added" in index.notices[0]


def test_an_embedding_that_fails_costs_one_notice(tmp_path: Path) -> None:
    def broken(texts: list[str]) -> list[list[float]]:
        raise MemoryError(texts[0])

    index = Vectors(str(tmp_path / "meanings.db"), embed=broken)
    index.add([Row(1, SCOPE, SOURCE, 1.0, b"x")])
    index.close()
    tried_again(index)
    assert index.near(SCOPE, SOURCE) == [] and index.count() == 0
    assert len(index.notices) == 1 and "MemoryError" in index.notices[0] and SOURCE not in index.notices[0]
    index.close()


@pytest.mark.parametrize("address", ["redis://h:1", "meanings", "http://", "ftp://h/x.db", "x.sqlite"])
def test_an_address_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("REWRITER_VECTORS", address)
    with pytest.raises(CacheError, match=r"ends in \.db"):
        open_cache(tmp_path)


def test_the_environment_names_it_and_a_missing_package_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWRITER_VECTORS", str(tmp_path / "meanings.db"))
    with open_cache(tmp_path / "c") as cache:
        assert cache._vectors is not None and cache._vectors.is_file
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pymilvus" else real(name))
    with pytest.raises(CacheError, match=r"transcript-rewriter\[vectors\]"):
        open_cache(tmp_path / "c")


def test_the_machines_of_a_cluster_are_told_of_a_server_and_not_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    monkeypatch.setenv("REWRITER_VECTORS", "own.db")
    assert shared_environment() == {}
    monkeypatch.setenv("REWRITER_VECTORS", "http://h:19530")
    assert shared_environment() == {"REWRITER_VECTORS": "http://h:19530", "MILVUS_TOKEN": "root:secret"}


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    pairs = [{"source": base["source"][:n], "rewrite": base["source"][:n]} for base in BASES for n in (12, 30, 80)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(pair) for pair in pairs), encoding="utf-8")
    script = Path(__file__).parent.parent / "benchmarks" / "cache_vectors.py"
    command = [sys.executable, str(script), str(tmp_path / "pairs.jsonl"), "--edits", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| below 20 | 1 |" in done.stdout and "a look-up by meaning:" in done.stdout


# --- the whole way ---


@pytest.mark.slow
def test_a_run_replays_what_only_the_meaning_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real embedding, a server for the model and `rewriter` itself."""
    monkeypatch.setenv("REWRITER_VECTORS", str(tmp_path / "meanings.db"))
    monkeypatch.setattr("rewriter.cache.similar.Similar.candidates", lambda *_: [])  # nothing shares letters
    text = talk(12)

    def command(*arguments: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--cache", str(tmp_path / "cache")])
        assert caught.value.code in {0, None}
        return capsys.readouterr().out

    with FaultyServer() as model:
        for out, source in (("one", text), ("two", text.replace("第1007号", "第2007号"))):
            (tmp_path / "talk.txt").write_text(source, encoding="utf-8")
            asked = len(model.requests)
            found = [str(tmp_path / "talk.txt"), "--model", "m", "--base-url", model.base_url, "--budget", "100"]
            if out == "two":
                estimate = json.loads(command("estimate", *found, "--json"))
            command("rewrite", *found, "-o", str(tmp_path / out), "--quiet")
        assert len(model.requests) == asked  # none for the second
    summary = json.loads((tmp_path / "two" / "summary.json").read_text(encoding="utf-8"))
    assert summary["passages"]["replayed"] == estimate["replayed"] > 0
    assert "2007" in (tmp_path / "two" / "talk.txt").read_text(encoding="utf-8")
    held = json.loads(command("cache", "stats"))
    assert held["by_meaning"] == held["passages"] > 1
    assert f"{held['passages']} passages in the index of meanings" in command("cache", "stats", "--text")


def test_what_goes_wrong_at_the_end_of_a_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    (tmp_path / "talk.txt").write_text(talk(2), encoding="utf-8")
    monkeypatch.setenv("REWRITER_VECTORS", str(tmp_path / "file" / "meanings.db"))
    with FaultyServer() as model, pytest.raises(SystemExit) as caught:
        where = ["--base-url", model.base_url, "-o", str(tmp_path / "out")]
        main(["rewrite", str(tmp_path / "talk.txt"), "--model", "m", "--quiet", *where])
    assert caught.value.code in {0, None}
    notice = f"The index of meanings at {tmp_path / 'file' / 'meanings.db'} could not be used (NotADirectoryError)"
    assert capsys.readouterr().err.count(notice) == 1
