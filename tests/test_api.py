"""The Python face against a real server: typed, JSON-serialisable results, streaming, errors with remedies."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

import rewriter
from faulty_server import FaultyServer
from rewriter.api import TASKS_PER_CALL, Rewriter
from rewriter.records import Request
from talks import missing, talk


def test_one_file(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text(talk(12), encoding="utf-8")
    result = rewriter.rewrite(tmp_path / "talk.txt")
    assert missing(12, result.text) == [] and result.kept == () and result.data.decode() == result.text
    assert sum(result.account.values()) == len(talk(12))
    assert result.usage.calls == len(server.requests) == len(result.passages)
    again = json.loads(result.model_dump_json(exclude={"data"}))
    assert again["passages"][0]["status"] == "rewritten" and again["fixes"][0]["name"] == "filler"


@pytest.mark.usefixtures("server")
def test_one_text() -> None:
    result = rewriter.rewrite(text="嗯我们我们先看缓存，然后再看索引。")
    assert result.text == "我们先看缓存，然后再看索引。"
    assert [f.name for f in result.fixes] == ["filler", "stutter"]


@pytest.mark.parametrize("given", [{}, {"source": "a.txt", "text": "b"}])
def test_exactly_one_of_file_and_text(given: dict[str, str]) -> None:
    with pytest.raises(rewriter.UsageError, match="not both"):
        rewriter.rewrite(**given)  # type: ignore[arg-type]


async def test_outcomes_stream_in_order_while_later_ones_are_asked(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text(talk(200), encoding="utf-8")
    server.delay = 0.01
    async with rewriter.Rewriter(concurrency=2, budget=60) as rw:
        seen = []
        async for outcome in rw.stream(tmp_path / "talk.txt"):
            seen.append(outcome.start)
            assert len(server.requests) <= len(seen) + 2 * TASKS_PER_CALL + 2  # bounded look-ahead
        assert seen == sorted(seen) and len(seen) > 30
        assert server.most_at_once <= 2


async def test_a_stream_left_early_asks_no_further(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text(talk(200), encoding="utf-8")
    server.delay = 0.02
    async with rewriter.Rewriter(concurrency=1, budget=60) as rw:
        stream = rw.stream(tmp_path / "talk.txt")
        await anext(aiter(stream))
        await stream.aclose()
        asked = len(server.requests)
        await asyncio.sleep(0.2)
        assert len(server.requests) <= asked + 1


async def test_many_transcripts_share_one_rewriter(server: FaultyServer) -> None:
    async with rewriter.Rewriter() as rw:
        assert server.requests == []  # nothing is contacted before something is asked
        from rewriter import formats

        texts = [f"嗯第{n}座桥是石头的，没有修过。" for n in range(1, 21)]
        read = [formats.read_bytes(t.encode(), name="-") for t in texts]
        results = await asyncio.gather(*(rw.rewrite(t) for t in read))
    assert [r.text for r in results] == [t[1:] for t in texts]
    assert len(server.requests) == 20


@pytest.mark.usefixtures("server")
def test_a_glossary_may_be_given_loaded_or_by_path(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text(
        "terms:\n- {canonical: 石拱桥, aliases: [十拱桥], certain: true}\n", encoding="utf-8"
    )
    text = "这是一座十拱桥。"
    for glossary in (tmp_path / "terms.yaml", str(tmp_path / "terms.yaml"), [tmp_path / "terms.yaml"]):
        assert rewriter.rewrite(text=text, glossary=glossary).text == "这是一座石拱桥。"
    loaded = rewriter.Glossary.load(tmp_path / "terms.yaml")
    assert rewriter.rewrite(text=text, glossary=loaded).text == "这是一座石拱桥。"


def test_errors_say_what_where_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(rewriter.InputError) as caught:
        rewriter.rewrite(tmp_path / "missing.txt", base_url="http://127.0.0.1:9/v1", model="m")
    assert caught.value.what and caught.value.where.endswith("missing.txt") and caught.value.remedy


async def test_a_language_decides_the_prompt(server: FaultyServer) -> None:
    async with rewriter.Rewriter() as rw:
        from rewriter import formats

        for text in (
            "我们先看缓存。",
            "We look at the cache and then at the index of the archive.",
            "まずキャッシュを見ます。",
        ):
            await rw.rewrite(formats.read_bytes(text.encode(), name="-"))
    systems = {r.messages[0]["content"] for r in server.requests}
    assert len(systems) == 3


@pytest.mark.parametrize("use_cache", [True, False])
def test_answers_that_come_together_are_kept_at_once_and_handed_out_one_by_one(use_cache: bool, tmp_path: Path) -> None:
    """Sixteen answers at once, each with 20 ms of work behind it: a timer of 5 ms is not held up for 320.

    Halfway through the work all of them are paid for, so that a kill then loses none.
    """
    late: list[float] = []
    paid: list[int] = []

    async def timer() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            late.append(time.monotonic() - before)

    async def one(rewriter: Rewriter, n: int) -> None:
        request = Request(model="m", messages=({"role": "user", "content": f"第{n}段"},), parameters={})
        await rewriter.ask(request, "ask", prompt="p")
        time.sleep(0.02)  # noqa: ASYNC251  work that does not give way, as judging is
        paid.append(rewriter.purse.spent["m"].calls)

    async def go(server: FaultyServer) -> None:
        settings = {"base_url": server.base_url, "model": "m", "cache": str(tmp_path), "use_cache": use_cache}
        async with Rewriter(**settings, concurrency=16) as rewriter:
            await one(rewriter, 99)
            ticking = asyncio.create_task(timer())
            await asyncio.gather(*(one(rewriter, n) for n in range(16)))
            ticking.cancel()

    with FaultyServer(delay=0.3) as server:
        asyncio.run(go(server))
    assert max(late) < 0.15
    assert paid[9] == paid[-1] == 17
