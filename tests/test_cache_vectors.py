"""Neighbours by meaning: a real Milvus Lite, as a file and as a server, and the real embedding."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rewriter.cache.vectors import Row, Vectors, scope_number

from rewriter import check
from rewriter.cache import PassageCache, open_cache, scope_of
from rewriter.cache import vectors as vectors_module
from rewriter.errors import CacheError
from rewriter.records import Answer, Usage

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "cases" / "cache_similar.json").read_text(encoding="utf-8"))
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
        if len(cache._vectors) == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{len(cache._vectors)} passages, not {count}; {cache.notices}")


async def served(cache: PassageCache, source: str = EDITED, scope: str = SCOPE, **options: Any) -> str | None:
    found = await cache.areplay(scope, source, guard, drops_hesitations=True, **options)
    return found.rewrite if found else None


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PassageCache]:
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "meanings.db")) as store:
        yield store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A Milvus server in a process of its own; its address."""
    code = (
        "import sys, time\nfrom milvus_lite.adapter.grpc.server import start_server_in_thread\n"
        "server, database, port = start_server_in_thread(data_dir=sys.argv[1], host='127.0.0.1', port=0)\n"
        "print(port, flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "server.db")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


@pytest.mark.slow
async def test_a_short_passage_is_found_by_meaning_and_not_by_letters(tmp_path: Path) -> None:
    with PassageCache(tmp_path / "plain") as plain:
        remember(plain)
        assert await served(plain) is None
    with PassageCache(tmp_path / "c", vectors=str(tmp_path / "meanings.db")) as cache:  # the real embedding
        for number, base in enumerate(CASES["bases"].values()):
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
    for base in CASES["bases"].values():
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
    assert len(index) == 21 and index.notices == []
    index.add(Row(n, SCOPE, f"第{n}段", 1.0, b"x") for n in range(40))
    index.clear()
    index.close()
    assert len(index) == 0 and index.notices == []


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
    "no passage": lambda sealed: b"no passage",
    "nothing": lambda sealed: b"",
    "changed": lambda sealed: sealed[:-3] + b"abc",
}


@pytest.mark.parametrize("what", PLANTED)
async def test_a_planted_row_is_a_miss(cache: PassageCache, what: str) -> None:
    remember(cache)
    settled(cache, 1)
    index = cache._vectors
    assert index is not None
    client, collection = index._open()
    (row,) = client.query(collection, filter="place >= 0", output_fields=["*"])
    sealed = PLANTED[what](base64.b64decode(row["sealed"]))
    client.upsert(collection, data=[{**row, "sealed": base64.b64encode(sealed).decode()}])
    assert await served(cache) is None and cache.notices == []


async def test_a_passage_under_another_scopes_number_is_a_miss(cache: PassageCache) -> None:
    remember(cache)
    settled(cache, 1)
    index = cache._vectors
    assert index is not None
    client, collection = index._open()
    (row,) = client.query(collection, filter="place >= 0", output_fields=["*"])
    client.upsert(collection, data=[{**row, "scope": scope_number(ELSEWHERE)}])
    assert index.near(ELSEWHERE, EDITED) and await served(cache, scope=ELSEWHERE) is None


async def test_no_server_costs_one_notice_and_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with PassageCache(tmp_path, vectors=by_letters("http://user:secret@127.0.0.1:9")) as cache:
        for number in range(50):
            remember(cache, f"{SOURCE}{number}")
            assert await served(cache, f"{EDITED}而且{number}人") is None
        assert cache.stats().by_meaning == 0
    assert time.monotonic() - began < 2 * vectors_module.OPEN
    assert len(cache.notices) == 1 and "127.0.0.1:9" in cache.notices[0]
    assert "secret" not in cache.notices[0]


async def test_a_file_that_another_process_uses_costs_one_notice(tmp_path: Path, server: str) -> None:
    with PassageCache(tmp_path / "c", vectors=by_letters(tmp_path / "server.db")) as cache:
        remember(cache)
        assert await served(cache) is None
    assert len(cache.notices) == 1 and "server.db" in cache.notices[0]


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


def test_closing_waits_for_what_was_given_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(texts: list[str]) -> list[list[float]]:
        time.sleep(0.2 if len(texts) > 1 else 0)
        return letters(texts)

    rows = [Row(n, SCOPE, f"第{n}段", 1.0, b"x") for n in range(60)]
    index = Vectors(str(tmp_path / "meanings.db"), embed=slow, embedding="slow")
    index.add(rows)
    index.close()
    assert len(index) == 60 and index.notices == []
    monkeypatch.setattr(vectors_module, "CLOSE", 0.1)
    index.add(rows)
    index.close()
    assert len(index.notices) == 1 and "not added" in index.notices[0]


def test_an_embedding_that_fails_costs_one_notice(tmp_path: Path) -> None:
    def broken(texts: list[str]) -> list[list[float]]:
        raise MemoryError(texts[0])

    index = Vectors(str(tmp_path / "meanings.db"), embed=broken)
    assert index.near(SCOPE, SOURCE) == [] and len(index) == 0
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
